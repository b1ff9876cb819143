"""SIGTERM and Ctrl-C end a training with one line, its exit code and its state; what must not be trained is refused."""

import json
import os
import shutil
import signal
import subprocess

import nibabel
import pytest
import torch

from common.errors import find_explained
from common.runs.lock import FolderLock

from .killing import ENVIRONMENT, QUIET, command, rows, wait

NAME = "meanteacher_segmentation"
NOISE = ("nvImageCodec", "Can't merge", "Engine run", "Not all config files", "NvImgCodec")  # of libraries


def start(data, folder, entry, **options):
    return subprocess.Popen(
        command(NAME, data, folder, entry, **options),
        env=ENVIRONMENT, cwd=QUIET["cwd"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@pytest.mark.timeout(900)
def test_a_signal_keeps_the_state(phantoms_3d, tmp_path):
    whole, folder = tmp_path / "whole", tmp_path / "run"
    subprocess.run(command(NAME, phantoms_3d, whole), check=True, **QUIET)
    done = 0
    for number, entry in ((signal.SIGTERM, "monai"), (signal.SIGINT, "tools")):
        process = start(phantoms_3d, folder, entry, resume=done > 0)
        assert wait(lambda done=done: len(rows(folder)) > done + 2, process)
        process.send_signal(number)
        said = process.communicate(timeout=240)[0]
        assert process.returncode == 128 + number, said
        assert "Traceback" not in said
        state = torch.load(folder / "resume.pt", weights_only=True)
        stopped = f"{number.name}: stopped after iteration {state['iteration']}; resume: true continues from"
        assert said.splitlines().count(f"{stopped} {folder / 'resume.pt'}") == 1
        assert not (folder / "model.pt").exists()
        done = len(rows(folder))
    said = start(phantoms_3d, folder, "tools", resume=True).communicate(timeout=240)[0]
    assert "saved" in said and not [noise for noise in NOISE if noise in said]
    first, second = (torch.load(path / "model.pt", weights_only=True) for path in (whole, folder))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert rows(folder) == rows(whole)


def refused(run_tiny, **options):
    """The line with which a training is refused."""
    with pytest.raises(Exception) as caught:
        run_tiny(NAME, **{"base_channels": 4, "overwrite": False, **options})
    return str(find_explained(caught.value))


def test_a_folder_in_use_or_that_cannot_be_made_is_refused(phantoms_3d, run_tiny, tmp_path):
    lock = FolderLock(tmp_path)
    line = refused(run_tiny, dataset_dir=str(phantoms_3d))
    assert line.startswith(f"output_dir: a run in {tmp_path} is going on (process {os.getpid()} on ")
    lock.release()
    line = refused(run_tiny, dataset_dir=str(phantoms_3d), output_dir="/proc/x")
    assert line.startswith("output_dir: no files can be made in /proc/x (")
    assert list(tmp_path.iterdir()) == []


def test_what_may_not_change_is_refused_by_name_and_more_iterations_train(phantoms_3d, run_tiny, tmp_path):
    options = {"dataset_dir": str(phantoms_3d), "base_channels": 4, "iterations": 4, "epoch_length": 2, "ramp_up": 2}
    run_tiny(NAME, **options)
    before = torch.load(tmp_path / "model.pt", weights_only=True)
    content = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert "holds a run already (" in refused(run_tiny, **options)
    for name, value, was in (("seed", 7, 1337), ("consistency_weight", 0.5, 1.0), ("labeled", 1, None)):
        line = refused(run_tiny, **options, resume=True, **{name: value})
        assert f"resume: {name} was {was} when this run was started and is {value} now" in line
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == content
    longer = {**options, "iterations": 12, "epoch_length": 4, "learning_rate": 0.02}
    run_tiny(NAME, **longer, resume=True)
    assert [row.split(",")[0] for row in rows(tmp_path)] == ["2", "4", "8", "12"]
    after = torch.load(tmp_path / "model.pt", weights_only=True)
    assert all((after[key] - before[key]).abs().max() > 1e-5 for key in after if key.endswith("conv.weight"))


def test_a_case_that_changed_its_list_or_its_content_is_refused(phantoms_3d, run_tiny, tmp_path):
    data, folder = tmp_path / "data", tmp_path / "run"
    shutil.copytree(phantoms_3d, data)
    options = {"base_channels": 4, "iterations": 2, "epoch_length": 1}
    options |= {"output_dir": str(folder), "ckpt_dir": str(folder)}
    run_tiny(NAME, dataset_dir=str(data), **options)
    moved = shutil.move(data, tmp_path / "moved")
    run_tiny(NAME, dataset_dir=str(moved), **{**options, "iterations": 3}, resume=True)
    splits = json.loads((moved / "splits.json").read_text(encoding="utf-8"))
    case = splits["labeled"].pop()
    kept = {path.name for path in folder.iterdir()}
    image = nibabel.load(next(moved.glob(f"images/{case}*")))
    nibabel.save(nibabel.Nifti1Image(image.get_fdata() + 1, image.affine), next(moved.glob(f"images/{case}*")))
    line = refused(run_tiny, dataset_dir=str(moved), **{**options, "iterations": 4}, resume=True)
    assert line == f"resume: case {case!r} (labeled) has another content than when this run was started"
    (moved / "splits.json").write_text(json.dumps({**splits, "validation": [*splits["validation"], case]}))
    line = refused(run_tiny, dataset_dir=str(moved), **{**options, "iterations": 4}, resume=True)
    assert f"case {case!r} was in the list labeled when this run was started and is in the list validation now" in line
    assert {path.name for path in folder.iterdir()} == kept >= {"record.json", "model.pt", "resume.pt"}
