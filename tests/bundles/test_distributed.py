"""Two processes train one model (gloo, CPU)."""

import os
import subprocess
import sys

import pytest
import torch

from .conftest import BUNDLES, base_layers, tiny


@pytest.mark.parametrize("name", sorted(path.name for path in BUNDLES.glob("*_segmentation")))
def test_two_processes_train_and_write_once(name, phantoms_of, tmp_path):
    configs = BUNDLES / name / "configs"
    options = {
        **tiny(name), "amp": "auto", "base_channels": 16, "dataset_dir": phantoms_of(name),
        "bundle_root": BUNDLES / name, "output_dir": tmp_path, "ckpt_dir": tmp_path,
    }  # fmt: skip
    del options["device"]
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    files = str([f"{configs}/{layer}.yaml" for layer in ("train", *base_layers(name), "multi_gpu_train")])
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nnodes=1", "--nproc_per_node=2"]
    environment = {**os.environ, "PYTHONPATH": str(BUNDLES.parent), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    result = subprocess.run(
        [*launcher, "-m", "monai.bundle", "run", "--config_file", files, *words],
        env=environment, capture_output=True, timeout=240, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    assert torch.load(tmp_path / "model.pt", weights_only=True)
    first, second = (torch.load(tmp_path / f, weights_only=True) for f in ("resume.pt", "resume.rank1.pt"))
    assert (first["processes"], first["iteration"], second["iteration"]) == (2, 2, 2)
    assert "objective" in first and "objective" not in second  # what all share is saved once
    assert not torch.equal(first["own"]["loader"]["generator"], second["loader"]["generator"])
