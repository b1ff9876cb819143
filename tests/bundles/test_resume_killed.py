"""A run killed with SIGKILL and resumed ends with the weights of a run that was not."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from .conftest import BUNDLES, base_layers, tiny

SETTINGS = {
    "iterations": 24, "epoch_length": 2, "val_interval": 100, "base_channels": 4,
}  # fmt: skip

RAMPS = {"iere_segmentation": "regularizer_ramp"}


def command(name, data, output, **options):
    configs = BUNDLES / name / "configs"
    options = {
        **tiny(name), **SETTINGS, RAMPS.get(name, "ramp_up"): 12, "dataset_dir": data,
        "bundle_root": BUNDLES / name, "output_dir": output, "ckpt_dir": output, **options,
    }  # fmt: skip
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    files = str([str(configs / f"{layer}.yaml") for layer in ("train", *base_layers(name))])
    return [sys.executable, "-m", "monai.bundle", "run", "--config_file", files, *words]


def wait_for_rows(path, rows, process):
    """Wait until the history of a running process has ``rows`` lines; fail if it ends before."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if path.is_file() and len(path.read_text(encoding="utf-8").splitlines()) > rows:
            return
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    raise AssertionError("no progress")


@pytest.mark.parametrize("name", sorted(path.name for path in BUNDLES.glob("*_segmentation")))
def test_killed_and_resumed_equals_uninterrupted(name, phantoms_of, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(BUNDLES.parent), "OMP_NUM_THREADS": "1"}
    quiet = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run(command(name, phantoms_of(name), whole), check=True, **quiet)

    process = subprocess.Popen(command(name, phantoms_of(name), broken), **quiet)
    wait_for_rows(broken / "history.csv", 4, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (broken / "model.pt").exists()
    iteration = torch.load(broken / "resume.pt", weights_only=True)["counters"]["iteration"]
    assert 0 < iteration < SETTINGS["iterations"]

    subprocess.run(command(name, phantoms_of(name), broken, resume=True), check=True, **quiet)
    first, second = (torch.load(folder / "model.pt", weights_only=True) for folder in (whole, broken))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    without_time = [
        [
            ",".join(cell for i, cell in enumerate(line.split(",")) if i != 1)
            for line in (f / "history.csv").read_text(encoding="utf-8").split()
        ]
        for f in (whole, broken)
    ]
    assert without_time[0] == without_time[1]
