"""DICOM as images of a data set: several patients and series below ``images``, labels as files."""

import json

import nibabel
import numpy as np
import pytest

from common.data import CachedDataset, VolumePreprocessing
from common.datasets import find_images, load_datalist
from common.datasets.find import find_cases
from common.errors import InputError
from tests.series import write_frames, write_series
from tools.check import check
from tools.prepare import prepare

AFFINE = np.array([[-1.5, 0, 0, 30], [0, -1.25, 0, -7], [0, 0, 2.5, 11], [0, 0, 0, 1.0]])
CASES = ["ann", "bob_t1", "bob_t2_4", "bob_t2_5", "frames", "x"]


def image(seed, dtype=np.int16):
    return nibabel.Nifti1Image(np.random.default_rng(seed).integers(0, 500, (12, 10, 6)).astype(dtype), AFFINE)


@pytest.fixture
def folder(tmp_path):
    """A patient with one series, one with three of which two share a folder, a multi-frame file, and a NIfTI file."""
    images = tmp_path / "in" / "images"
    write_series(images / "ann" / "study" / "series", image(0))
    write_series(images / "bob" / "t1", image(1))
    for number in (4, 5):
        for path in write_series(tmp_path / "new", image(number), lambda d, k, n=number: setattr(d, "SeriesNumber", n)):
            (images / "bob" / "t2").mkdir(exist_ok=True)
            path.rename(images / "bob" / "t2" / f"{number}{path.name}")
    write_frames(images / "frames.dcm", image(2), [*range(6)])
    nibabel.save(image(3), images / "x.nii.gz")
    (tmp_path / "in" / "labels").mkdir()
    for name, seed in zip(CASES, (0, 1, 4, 5, 2, 3)):
        mask = (np.asarray(image(seed).dataobj) > 400).astype(np.uint8)
        nibabel.save(nibabel.Nifti1Image(mask, AFFINE), tmp_path / "in" / "labels" / f"{name}.nii.gz")
    lists = {"labeled": CASES[:3], "unlabeled": CASES[3:5], "validation": CASES[5:]}
    (tmp_path / "in" / "splits.json").write_text(json.dumps(lists), encoding="utf-8")
    return tmp_path / "in"


def test_series_are_cases_of_a_data_set(folder):
    assert [(case.name, len(case.labels)) for case in find_cases(folder).cases] == [
        (name, 1) for name in sorted(CASES, key=["x", "ann", "bob_t1", "bob_t2_4", "bob_t2_5", "frames"].index)
    ]
    lists = load_datalist(folder)
    assert [case["case"] for role in ("labeled", "unlabeled", "validation") for case in lists[role]] == CASES
    cases = CachedDataset([*lists["labeled"], *lists["validation"]], VolumePreprocessing())
    for case in cases:
        assert case["image"].shape == (1, 12, 10, 6)
        np.testing.assert_array_equal(case["label"], case["image"] > 400)
    assert len({case["image"].sum().item() for case in cases}) == 4


def test_the_same_folder_to_segment(folder):
    names = {case["case"] for case in find_images(folder / "images")}
    assert names == {"ann_study_series", "bob_t1", "bob_t2_4", "bob_t2_5", "frames", "x"}
    (only,) = find_images(folder / "images" / "frames.dcm")
    assert only["case"] == "frames"
    slice_ = sorted((folder / "images" / "bob" / "t1").iterdir())[0]
    assert find_images(slice_.rename(slice_.with_name("1.2.840.7"))) == [
        {"case": "1.2.840.7", "image": str(folder / "images" / "bob" / "t1" / "1.2.840.7")}
    ]


def test_a_folder_of_several_series_is_no_case(folder):
    (folder / "splits.json").write_text(json.dumps({"labeled": ["bob"]}), encoding="utf-8")
    (folder / "labels" / "x.nii.gz").rename(folder / "labels" / "bob.nii.gz")
    lists = load_datalist(folder)
    with pytest.raises(InputError, match="bob: 3 series in one folder"):
        CachedDataset(lists["labeled"], VolumePreprocessing())
    (folder / "splits.json").write_text(json.dumps({"labeled": ["nobody"]}), encoding="utf-8")
    with pytest.raises(InputError, match="nobody: no file with one of the endings .*, and no DICOM series"):
        load_datalist(folder)


def test_check_and_prepare_read_them(folder, tmp_path):
    check(str(folder), output=str(tmp_path / "report"))
    facts = json.loads((tmp_path / "report" / "check.json").read_text(encoding="utf-8"))
    assert {case["case"]: case["shape"] for case in facts["cases"]} == dict.fromkeys(CASES, [12, 10, 6])
    prepare("folder", str(folder), str(tmp_path / "out"))
    for name, seed in zip(CASES, (0, 1, 4, 5, 2, 3)):
        stored = nibabel.load(tmp_path / "out" / "images" / f"{name}.nii.gz")
        np.testing.assert_array_equal(stored.get_fdata(), image(seed).get_fdata())
        np.testing.assert_allclose(stored.affine, AFFINE, atol=1e-5)


@pytest.mark.parametrize(("affine", "reason"), [
    (AFFINE @ np.diag([-1, 1, 1, 1]), "origin"), (AFFINE, None),
    (AFFINE + np.outer([200, 0, 0, 0], [0, 0, 0, 1]), "origin"), (AFFINE @ np.diag([1, 1, 2, 1]), "spacing"),
])  # fmt: skip
def test_labels_lie_on_the_grid_of_their_series(affine, reason, folder):
    mask = (np.asarray(image(0).dataobj) > 400).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(mask, affine), folder / "labels" / "ann.nii.gz")
    cases = load_datalist(folder)["labeled"][:1]
    if reason is None:
        assert len(CachedDataset(cases, VolumePreprocessing())) == 1
        return
    with pytest.raises(InputError, match=f"ann.nii.gz: geometry differs from the image's: {reason}"):
        CachedDataset(cases, VolumePreprocessing())
