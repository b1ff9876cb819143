"""Two processes are stopped and resumed together, and one goes on where two were."""

import signal
import subprocess
import sys

import pytest
import torch

from .conftest import BUNDLES
from .killing import ENVIRONMENT, QUIET, command, rows, wait

NAME = "meanteacher_segmentation"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nnodes=1", "--nproc_per_node=2"]


def pair(data, folder, **options):
    """Command line of a training in two processes."""
    words = command(NAME, data, folder, **options)
    device = words.index("--device")
    layer = str(BUNDLES / NAME / "configs" / "multi_gpu_train.yaml")
    files = words.index("--config_file") + 1
    words[files] = f"{words[files][:-1]}, {layer!r}]"
    return [*TORCHRUN, *words[1:device], *words[device + 2 :]]


@pytest.mark.timeout(1200)
def test_two_processes_stop_together_and_resume_together_or_as_one(phantoms_3d, tmp_path):
    whole, folder = tmp_path / "whole", tmp_path / "run"
    subprocess.run(pair(phantoms_3d, whole), check=True, **QUIET)
    process = subprocess.Popen(pair(phantoms_3d, folder), **QUIET)
    assert wait(lambda: len(rows(folder)) > 3, process)
    process.send_signal(signal.SIGTERM)  # the launcher passes it on to both
    process.wait(timeout=240)
    assert process.returncode
    states = [torch.load(folder / name, weights_only=True) for name in ("resume.pt", "resume.rank1.pt")]
    assert states[0]["iteration"] == states[1]["iteration"] >= 6
    assert not (folder / "model.pt").exists()
    subprocess.run(pair(phantoms_3d, folder, resume=True), check=True, **QUIET)
    first, second = (torch.load(path / "model.pt", weights_only=True) for path in (whole, folder))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert {path.name for path in folder.iterdir()} == {path.name for path in whole.iterdir()}

    alone = command(NAME, phantoms_3d, folder, resume=True, iterations=28)
    said = subprocess.run(alone, env=ENVIRONMENT, cwd=QUIET["cwd"], capture_output=True, text=True, check=True)
    assert "a run of 2 processes goes on with 1: the order of the data" in said.stdout + said.stderr
    assert "starting from the beginning" not in said.stdout + said.stderr
    assert torch.load(folder / "resume.pt", weights_only=True)["processes"] == 1
    assert len(rows(folder)) == 14
