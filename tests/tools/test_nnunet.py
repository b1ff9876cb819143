"""What nnU-Net is given, and what is refused before it starts; it runs in an environment of its own, not here."""

import json
import sys

import nibabel
import numpy as np
import pytest

from common.data import Phantom, write_phantoms
from common.datasets import load_datalist
from common.errors import InputError
from tools.nnunet import _mean_dice, _require_same, _trainer, _write, nnunet


@pytest.fixture
def data(tmp_path):
    return write_phantoms(tmp_path / "data", Phantom((32, 28, 16)), labeled=2, unlabeled=2, validation=1, test=1)


def test_labeled_cases_are_all_that_it_is_planned_from(data, tmp_path):
    root = tmp_path / "out"
    _write(root, load_datalist(data), "test", [2, 2, 2], "MRI")
    raw = root / "raw" / "Dataset001_cases"
    assert [path.name for path in sorted((raw / "imagesTr").iterdir())] == [
        "phantom_000_0000.nii.gz", "phantom_001_0000.nii.gz",
    ]  # fmt: skip
    image = nibabel.load(raw / "imagesTr" / "phantom_000_0000.nii.gz")
    label = nibabel.load(raw / "labelsTr" / "phantom_000.nii.gz")
    assert image.header.get_zooms() == pytest.approx((2, 2, 2)) and image.shape == label.shape == (16, 14, 8)
    content = json.loads((raw / "dataset.json").read_text(encoding="utf-8"))
    assert content["labels"] == {"background": 0, "class 1": 1} and content["numTraining"] == 2
    held = {role: [path.name for path in (raw / f"images_{role}").iterdir()] for role in ("validation", "test")}
    assert held == {"validation": ["phantom_004_0000.nii.gz"], "test": ["phantom_005_0000.nii.gz"]}
    assert not (raw / "imagesTs").exists() and (root / "labels_test" / "phantom_005.nii.gz").is_file()


def test_the_measure_is_the_mean_dice_of_classes_and_cases(tmp_path):
    for folder in ("labels", "predictions"):
        (tmp_path / folder).mkdir()
    for name, truth, found in (("a", [1, 1, 2, 0], [1, 0, 2, 0]), ("b", [1, 0, 2, 2], [1, 0, 0, 0])):
        for folder, values in (("labels", truth), ("predictions", found)):
            image = nibabel.Nifti1Image(np.array(values, np.uint8).reshape(2, 2, 1), np.eye(4))
            nibabel.save(image, tmp_path / folder / f"{name}.nii.gz")
    assert _mean_dice(tmp_path / "predictions", tmp_path / "labels") == pytest.approx((2 / 3 + 1 + 1 + 0) / 4)


def test_trainers_are_those_that_it_brings():
    assert [_trainer(n) for n in (1, 5, 1000)] == ["nnUNetTrainer_1epoch", "nnUNetTrainer_5epochs", "nnUNetTrainer"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 7}, "epochs must be one of"),
        ({"configuration": "3d"}, "configuration must be one of"),
        ({"report": "labeled"}, "report must be one of"),
        ({"device": "tpu"}, "device must be one of"),
        ({}, "expected the Python of an environment with nnunetv2"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_written(data, tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        nnunet(str(data), str(tmp_path / "out"), python=sys.executable, **options)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_run_is_refused(tmp_path):
    path = tmp_path / "out" / "settings.json"
    _require_same(path, {"spacing": None})
    _require_same(path, {"spacing": None})
    with pytest.raises(InputError, match="holds a run of other cases or settings"):
        _require_same(path, {"spacing": [1, 1, 1]})
