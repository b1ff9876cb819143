"""Two tiny released bundles, packaged once: V-Nets of four channels with the same weights."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from common.networks import VNet
from tools.package import package
from tools.run import BUNDLES

SMALL = {"base_channels": 4}
SUMMARY = {
    "mean": {"dice": 0.7260063, "jaccard": 0.6051385, "hd95": 8.946, "asd": 2.792},
    "std": {"dice": 0.2226219, "jaccard": 0.2186158, "hd95": 5.891, "asd": 1.897},
    "cases": 16,
    "empty": 1,
    "unit": "voxel",
    "dataset": "la2018",
    "split": "validation",
    "labeled": 4,
    "seed": 1337,
}


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    torch.save(VNet(**SMALL).state_dict(), path)
    return path


@pytest.fixture(scope="session")
def tiny_summary(tmp_path_factory):
    path = tmp_path_factory.mktemp("results") / "summary.json"
    path.write_text(json.dumps(SUMMARY), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tiny_release(tmp_path_factory, tiny_weights, tiny_summary):
    """SS-Net for the left atrium: its archive, its name and how to build it again elsewhere."""
    name = "left_atrium_mri_ssnet_segmentation"

    def build(folder: Path) -> Path:
        options = {"name": name, "output": str(folder), "results": str(tiny_summary), "dirty": True, **SMALL}
        return Path(package("ssnet_segmentation", "la", str(tiny_weights), **options))

    return SimpleNamespace(path=build(tmp_path_factory.mktemp("release")), name=name, build=build)


@pytest.fixture
def bundle_copy(tmp_path):
    """A copy of the Mean Teacher bundle to spoil."""
    return Path(shutil.copytree(BUNDLES / "meanteacher_segmentation", tmp_path / "meanteacher_segmentation"))
