"""Tiny phantom data sets and a way to run bundles in this process."""

import json
from pathlib import Path

import pytest

from common.data import Phantom, write_phantom_domains, write_phantoms
from common.runs import weights_file
from tools.run import run

BUNDLES = Path(__file__).resolve().parents[2] / "bundles"
TINY = {
    "patch_size": [16, 16, 32],
    "stride": [16, 16, 32],
    "test_stride": [16, 16, 32],
    "iterations": 2,
    "epoch_length": 1,
    "val_interval": 1,
    "labeled_batch": 2,
    "unlabeled_batch": 2,
    "amp": False,
    "progress": False,
    "device": "cpu",
}
TINY_2D = {key: value for key, value in TINY.items() if "stride" not in key} | {"patch_size": [64, 64]}


def dims(bundle):
    """Spatial dimensions of a bundle's input."""
    metadata = json.loads((BUNDLES / bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    return len(metadata["network_data_format"]["inputs"]["image"]["spatial_shape"])


def tiny(bundle):
    """Settings of a run of seconds."""
    return TINY_2D if dims(bundle) == 2 else TINY


def base_layers(bundle):
    """Layers under a bundle's tiny run: a 2D bundle's demo tells the layout of phantoms and needs no checkpoint."""
    return ["demo"] if dims(bundle) == 2 else []


@pytest.fixture(scope="session")
def phantoms_of(phantoms_3d, phantoms_2d):
    """The phantoms that suit a bundle."""
    return lambda bundle: phantoms_2d if dims(bundle) == 2 else phantoms_3d


@pytest.fixture(scope="session")
def phantoms_2d(tmp_path_factory):
    """Pictures of two sites."""
    folder = tmp_path_factory.mktemp("phantoms2d")
    return write_phantom_domains(folder, Phantom(size=(40, 36)), domains=2, train=4, validation=1, test=1)


@pytest.fixture(scope="session")
def phantoms_3d(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms3d")
    family = Phantom(size=(24, 24, 16), classes=2)
    return write_phantoms(folder, family, labeled=2, unlabeled=3, validation=1, test=1, spacing=(1.25, 1.25, 1.25))


@pytest.fixture(scope="session")
def phantoms_multiclass(tmp_path_factory):
    """Volumes of four classes named like ACDC cases."""
    folder = tmp_path_factory.mktemp("phantoms4")
    write_phantoms(folder, Phantom(size=(40, 32, 16), classes=4), labeled=2, unlabeled=2, validation=1, test=0)
    for path in [*folder.glob("*/*.nii.gz"), folder / "splits.json"]:
        if path.suffix == ".json":
            path.write_text(path.read_text(encoding="utf-8").replace("phantom_", "patient"))
        else:
            path.rename(path.with_name(path.name.replace("phantom_", "patient")))
    return folder


@pytest.fixture
def run_tiny(tmp_path):
    """Run layers of a bundle with tiny settings; returns the output folder."""

    def call(bundle, *layers, **options):
        where = {} if "inference" in layers else {"output_dir": str(tmp_path), "ckpt_dir": str(tmp_path)}
        if {"inference", "evaluate"} & set(layers):
            weights = weights_file(options.get("checkpoint", tmp_path))
            below = [] if weights.with_name("settings.json").is_file() else base_layers(bundle)
            settings = {"amp": False, "device": "cpu"} | ({"progress": False} if "evaluate" in layers else {})
        else:
            below, settings = base_layers(bundle), {**tiny(bundle), "overwrite": True}
        run(bundle, *below, *layers, **{**settings, **where, **options})
        return tmp_path

    return call
