"""Real runs: done, skipped, refused; a failure and a stop do not take the others along."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from common.data import Phantom, write_phantoms
from common.errors import InputError
from tools.experiment.command import experiment
from tools.experiment.file import read_experiment
from tools.experiment.queue import state_of
from tools.run import REPOSITORY

TEXT = """
layers: [demo]
options: {{dataset_dir: {data}, iterations: {iterations}, epoch_length: 2, patch_size: [32, 32, 16],
          stride: [32, 32, 16], test_stride: [32, 32, 16], base_channels: 4, amp: false, device: cpu,
          val_interval: 100}}
splits: splits_{{draw}}.json
labeled: 2
rows:
  supervised: {{bundle: meanteacher_segmentation, layers: [supervised]}}
"""
ADAPTED = "  adapted: {of: supervised, evaluate: {statistics: case}}\n"


@pytest.fixture
def made(tmp_path):
    data = write_phantoms(tmp_path / "data", Phantom((32, 32, 16)), labeled=2, unlabeled=1, validation=1, test=1)
    lists = json.loads((data / "splits.json").read_text(encoding="utf-8"))
    content = {"train": [*lists["labeled"], *lists["unlabeled"]], "test": lists["test"]}
    (tmp_path / "splits_1.json").write_text(json.dumps(content), encoding="utf-8")

    def write(iterations):
        path = tmp_path / "some.yaml"
        path.write_text(TEXT.format(data=data, iterations=iterations), encoding="utf-8")
        return path

    return write


def test_a_run_is_made_once_and_its_meaning_kept(made, tmp_path, capsys):
    path, root = made(2), tmp_path / "runs"
    experiment(str(path), str(root))
    (table,) = json.loads((root / "results.json").read_text(encoding="utf-8"))["tables"]
    assert table["labeled"] == 2 and len(table["rows"][0]["cases"]) == 1
    model = root / "supervised-2-draw1-seed1337" / "model.pt"
    before = model.stat().st_mtime_ns
    capsys.readouterr()
    experiment(str(path), str(root))
    assert "1 runs, 1 done" in capsys.readouterr().out and model.stat().st_mtime_ns == before
    with pytest.raises(InputError, match="supervised-2-draw1-seed1337: holds a run with iterations=2, not 4"):
        experiment(str(made(4)), str(root))
    experiment(str(made(2)), str(root), slurm=str(tmp_path / "array.sh"))
    script = (tmp_path / "array.sh").read_text(encoding="utf-8")
    assert "--array=0-0%1" in script and f"--output_dir {root}" in script and "$SLURM_ARRAY_TASK_ID" in script


def test_runs_are_evaluated_in_other_ways_without_another_training(made, tmp_path):
    path, root = made(2), tmp_path / "runs"
    path.write_text(path.read_text(encoding="utf-8") + ADAPTED, encoding="utf-8")
    experiment(str(path), str(root))
    (table,) = json.loads((root / "results.json").read_text(encoding="utf-8"))["tables"]
    rows = {row["name"]: row for row in table["rows"]}
    assert list(rows) == ["supervised", "adapted"] and len(rows["adapted"]["dice of cases"][0]) == 1
    assert rows["adapted"]["seconds per step"] == rows["supervised"]["seconds per step"]
    folder = root / "adapted-2-draw1-seed1337"
    assert (folder / "case" / "test" / "summary.json").is_file() and not (folder / "model.pt").exists()
    plan = read_experiment(path)
    assert {state_of(job, root, plan.evaluate) for job in plan.jobs()} == {"done"}
    path.write_text(path.read_text(encoding="utf-8").replace("case", "all"), encoding="utf-8")
    with pytest.raises(InputError, match="adapted-2-draw1-seed1337: holds a run with how {'statistics': 'case'}, not"):
        experiment(str(path), str(root))


def test_what_is_stopped_goes_on(made, tmp_path):
    path, root = made(4000), tmp_path / "runs"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tools", "experiment", str(path), str(root)]
    history = root / "supervised-2-draw1-seed1337" / "history.csv"
    rows = lambda: len(history.read_text(encoding="utf-8").splitlines()) if history.is_file() else 0  # noqa: E731
    for _ in range(2):
        known = rows()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 120
        while rows() <= known + 1 and time.monotonic() < end:
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        _, words = process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGTERM and "Traceback" not in words
        assert known + 1 < rows() < 2000
    with pytest.raises(InputError, match="supervised-2-draw1-seed1337: stopped, goes on from where it was"):
        experiment(str(path), str(root), hours=2 / 3600)


def test_a_failure_is_one_line_and_a_wrong_exit(made, tmp_path):
    path, root = made(2), tmp_path / "runs"
    (tmp_path / "data" / "images" / "phantom_000.nii.gz").write_bytes(b"cut")
    with pytest.raises(InputError, match="1 runs are not done: supervised-2-draw1-seed1337: failed .*phantom_000"):
        experiment(str(path), str(root))


@pytest.mark.parametrize(
    ("options", "words"), [({"jobs": 0}, "--jobs 0"), ({"hours": 0}, "--hours 0"), ({"only": 7}, "only=7")]
)
def test_wrong_options_are_refused(made, tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        experiment(str(made(2)), str(tmp_path / "runs"), **options)
    assert not (tmp_path / "runs").exists()


def test_a_run_ends_with_the_process_that_started_it_however_that_ended(tmp_path):
    mark = tmp_path / "ended"
    child = (
        "import pathlib, signal, sys, time; from tools.experiment.job import end_with_parent\n"
        f"signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path({str(mark)!r}).touch(), sys.exit(1)))\n"
        "end_with_parent(); print('ready', flush=True); time.sleep(120)"
    )
    start = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', sys.argv[1]]); time.sleep(120)"
    process = subprocess.Popen([sys.executable, "-c", start, child], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.kill()  # nothing that it could hear
    process.wait()
    end = time.monotonic() + 20
    while not mark.exists() and time.monotonic() < end:
        time.sleep(0.1)
    assert mark.exists()
    process.stdout.close()
