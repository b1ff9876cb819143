"""Each volume data set from a small archive in its distributed form, against its published rule."""

import csv
import json

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from common.datasets import load_datalist
from common.errors import InputError
from tests.tools import archives
from tools.prepare import prepare
from tools.prepare.lists import published
from tools.volumes import array, read


def prepared(folder, name):
    """Image and label of a case, x, y, z."""
    return tuple(nibabel.load(folder / part / f"{name}.nii.gz") for part in ("images", "labels"))


def test_la_is_scored_over_the_volume_and_cropped_around_the_label(tmp_path):
    names = published("la2018")["train"][:2] + published("la2018")["test"][:1]
    source = archives.left_atria(tmp_path / "in", names)
    prepare("la2018", str(source), str(tmp_path / "out"), workers=2)
    splits = json.loads((tmp_path / "out" / "splits.json").read_text(encoding="utf-8"))
    assert splits["train"] == names[:2] and splits["test"] == names[2:] and len(splits["missing"]) == 97
    whole, label = (array(read(source / names[0] / file)) for file in ("lgemri.nrrd", "laendo.nrrd"))
    expected = (whole - whole.mean(dtype=float)) / whole.std(dtype=float)
    image, mask = prepared(tmp_path / "out", names[0])
    entry = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))["cases"][names[0]]["images"][0]
    inside = tuple(slice(*pair) for pair in entry["box"])
    np.testing.assert_allclose(image.get_fdata(), expected[inside], atol=1e-5)
    np.testing.assert_array_equal(mask.get_fdata(), label[inside] == 255)
    assert entry["label_kept"] == 1 and image.shape[2] == whole.shape[2]
    np.testing.assert_allclose(image.header.get_zooms(), 0.625)
    # the cropped voxels stay where they were in the patient
    start = sitk.ReadImage(str(source / names[0] / "lgemri.nrrd")).TransformIndexToPhysicalPoint(
        [s.start for s in inside]
    )
    np.testing.assert_allclose(image.affine[:3, 3], np.array(start) * [-1, -1, 1], atol=1e-4)
    for (first, last), (start, stop), extent in zip(
        [(np.flatnonzero(label.any(axis=axes))[[0, -1]]) for axes in ((1, 2), (0, 2))], entry["box"], whole.shape
    ):
        fill = max(112 - (last - first), 0) // 2
        assert start == 0 or 10 <= first - fill - start <= 19
        assert stop == extent or 10 <= stop - last - fill <= 19


def test_la_window_needs_no_label_of_the_cases_it_crops(tmp_path):
    names = published("la2018")["train"][:2] + published("la2018")["test"][:1]
    source = archives.left_atria(tmp_path / "in", names)
    options = {"crop": "window", "window_from": 1, "window_margin": 2}
    prepare("la2018", str(source), str(tmp_path / "first"), **options)
    archives.write(np.full((130, 126, 6), 255, np.uint8), source / names[2] / "laendo.nrrd", spacing=(0.625,) * 3,
                   origin=(3.0, 4.0, 5.0))  # fmt: skip
    prepare("la2018", str(source), str(tmp_path / "second"), **options)
    label = array(read(source / names[0] / "laendo.nrrd"))
    first, last = np.flatnonzero(label.any(axis=(1, 2)))[[0, -1]]
    for name in names:
        one, other = (prepared(tmp_path / run, name)[0] for run in ("first", "second"))
        np.testing.assert_array_equal(one.get_fdata(), other.get_fdata())
        assert one.shape[0] == last - first + 5


@pytest.mark.parametrize(
    ("convention", "window", "z_cropped"), [("mcnet", (-125, 275), False), ("mcf", (-120, 240), True)]
)
def test_pancreas_conventions(tmp_path, convention, window, z_cropped):
    source = archives.pancreas(tmp_path / "in", (1, 63), size=(40, 36, 40))
    prepare("pancreas", str(source), str(tmp_path / "out"), convention=convention)
    image, mask = prepared(tmp_path / "out", "PANCREAS_0001")
    np.testing.assert_allclose(image.header.get_zooms(), 1.0)
    values = image.get_fdata()
    assert abs(values.mean()) < 1e-4 and abs(values.std() - 1) < 1e-4
    assert image.shape[:2] == (32, 29) and (image.shape[2] < 100) == z_cropped
    # brightest where the label is: the flipped label was turned back by its header
    inside = mask.get_fdata() > 0
    assert inside.sum() > 100 and values[inside].mean() > 1 > values[~inside].mean()
    splits = json.loads((tmp_path / "out" / "splits.json").read_text(encoding="utf-8"))
    expected = {"mcnet": (["PANCREAS_0063"], ["PANCREAS_0001"]), "mcf": (["PANCREAS_0001"], ["PANCREAS_0063"])}
    assert (splits["train"], splits["test"]) == expected[convention]


def test_pancreas_labels_on_other_axes_are_noticed(tmp_path, capsys):
    source = archives.pancreas(tmp_path / "in", (1,))
    folder = source / "Pancreas-CT" / "PANCREAS_0001" / "study" / "series"
    image, label = archives.volume(1, (40, 36, 10), low=-60, high=240)
    image[label == 0] = -900
    image, label = np.roll(image, 10, axis=1), np.roll(label, 10, axis=1)
    archives.write_series(image, folder, (0.8, 0.8, 2.5))
    archives.write(label, source / "labels" / "label0001.nii.gz", spacing=(0.8, 0.8, 2.5),
                   direction=(1, 0, 0, 0, -1, 0, 0, 0, 1))  # fmt: skip
    with pytest.raises(InputError, match="1 of 1 cases failed"):
        prepare("pancreas", str(source), str(tmp_path / "out"))
    assert "of the label lies on soft tissue; its axes are not the scan's (try label_axes)" in capsys.readouterr().out
    prepare("pancreas", str(source), str(tmp_path / "other"), label_axes="stored")


def test_brats_follows_the_published_pipeline(tmp_path):
    names = [published("brats2019")[key][0] for key in ("train", "val", "test")]
    source = archives.brats(tmp_path / "in", names)
    prepare("brats2019", str(source), str(tmp_path / "out"))
    flair = array(read(source / "HGG" / names[0] / f"{names[0]}_flair.nii.gz")).astype(float)
    box = flair[3:-1, :-5, 2:-1]  # the upper index is exclusive: the last slice of each axis is lost
    box = np.minimum(box, np.quantile(box, 0.999))
    expected = (box - box[box > 0].mean()) / box[box > 0].std()
    image, mask = prepared(tmp_path / "out", names[0])
    np.testing.assert_allclose(image.get_fdata(), expected, atol=1e-5)
    assert set(np.unique(mask.get_fdata())) == {0, 1}
    splits = json.loads((tmp_path / "out" / "splits.json").read_text(encoding="utf-8"))
    assert [splits[key] for key in ("train", "val", "test")] == [[name] for name in names]


@pytest.mark.parametrize("with_frames", [True, False], ids=["frames", "cine only"])
def test_acdc_keeps_its_spacing_and_both_frames(tmp_path, with_frames):
    lists = published("acdc")
    patients = [lists["train"][1], lists["train"][0], lists["test"][0]]
    source = archives.acdc(tmp_path / "in", patients, with_frames=with_frames)
    prepare("acdc", str(source), str(tmp_path / "out"))
    splits = json.loads((tmp_path / "out" / "splits.json").read_text(encoding="utf-8"))
    assert splits["train"] == [f"{patient}_frame{t:02d}" for patient in lists["train"][:2] for t in (1, 3)]
    cases = load_datalist(tmp_path / "out", labeled=1, group=splits["group"])
    assert [len(cases[role]) for role in ("labeled", "unlabeled", "test")] == [2, 2, 2]
    cine = array(read(source / "training" / patients[0] / f"{patients[0]}_4d.nii.gz"))[..., 2]
    image, mask = prepared(tmp_path / "out", f"{patients[0]}_frame03")
    np.testing.assert_allclose(image.get_fdata(), (cine - cine.min()) / np.ptp(cine), atol=1e-6)
    np.testing.assert_allclose(image.header.get_zooms(), (1.5, 1.5, 10.0))
    entry = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))["cases"][
        f"{patients[0]}_frame03"
    ]
    assert entry["images"][0]["phase"] == "ES" and set(np.unique(mask.get_fdata())) == {0, 1}


def test_isbi_becomes_slices_of_two_sites(tmp_path):
    patients = [f"Prostate3T-01-{n:04d}" for n in range(1, 5)] + [f"ProstateDx-01-{n:04d}" for n in range(1, 4)]
    source = archives.isbi(tmp_path / "in", patients)
    prepare("nci_isbi2013", str(source), str(tmp_path / "out"))
    with open(tmp_path / "out" / "manifest.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    split_of = {row["patient"]: (row["domain"], row["split"]) for row in rows}
    assert split_of[patients[0]] == ("runmc", "train") and split_of[patients[3]] == ("runmc", "test")
    assert split_of[patients[4]] == ("bmc", "train") and split_of[patients[6]] == ("bmc", "test")
    _, label = archives.volume(0, (30, 30, 8))
    shown = np.flatnonzero(label.any(axis=(0, 1)))
    assert [int(row["slice"]) for row in rows if row["patient"] == patients[0]] == shown[:-1].tolist()
    mask = read(tmp_path / "out" / rows[0]["label"])
    assert mask.GetSize() == (256, 256) and set(np.unique(array(mask))) == {0, 1}
    expected = label[:, :, shown[0]].mean()
    assert abs(array(mask).mean() - expected) < 0.02
    groups = load_datalist(
        tmp_path / "out",
        labeled=2,
        group=json.loads((tmp_path / "out/splits.json").read_text(encoding="utf-8"))["group"],
    )
    assert len({case["case"].rsplit("_", 1)[0] for case in groups["labeled"]}) == 2


def test_isbi_volumes_keep_their_geometry(tmp_path):
    source = archives.isbi(tmp_path / "in", ["Prostate3T-01-0001"])
    prepare("nci_isbi2013", str(source), str(tmp_path / "out"), form="volumes")
    image, mask = prepared(tmp_path / "out", "Prostate3T-01-0001")
    np.testing.assert_allclose(image.header.get_zooms(), (0.6, 0.6, 4.0), atol=1e-5)
    np.testing.assert_allclose(image.affine[:3, 3], (10, 20, 5), atol=1e-5)
    assert set(np.unique(mask.get_fdata())) == {0, 1}


def test_h5_volumes_come_back_equal(tmp_path):
    arrays = {name: archives.volume(seed) for seed, name in enumerate("ABCDE")}
    for name, (image, label) in arrays.items():
        archives.h5(tmp_path / "in" / name / "mri_norm2.h5", image.astype(np.float32), label=label)
    prepare("h5", str(tmp_path / "in"), str(tmp_path / "out"), spacing=0.625, seed=3)
    for name, (image, label) in arrays.items():
        stored, mask = prepared(tmp_path / "out", name)
        np.testing.assert_array_equal(stored.get_fdata(dtype=np.float32), image.astype(np.float32))
        np.testing.assert_array_equal(mask.get_fdata(), label)
        np.testing.assert_allclose(stored.header.get_zooms(), 0.625)
    splits = json.loads((tmp_path / "out" / "splits.json").read_text(encoding="utf-8"))
    assert len(splits["train"]) == 4 and len(splits["test"]) == 1 and "seed 3" in splits["origin"]


def test_h5_slices_lists_and_axes(tmp_path):
    for name in ("patient001_frame01_slice_1", "patient001_frame01_slice_2", "patient002_frame01_slice_1"):
        archives.h5(tmp_path / "in" / "slices" / f"{name}.h5", np.arange(6.0).reshape(2, 3), label=np.eye(2, 3))
    (tmp_path / "in" / "train_slices.list").write_text(
        "patient002_frame01_slice_1\npatient001_frame01_slice_2\n", encoding="utf-8"
    )
    prepare("h5", str(tmp_path / "in"), str(tmp_path / "out"), axes="zyx", group="{patient}_*")
    image, mask = prepared(tmp_path / "out", "patient001_frame01_slice_2")
    np.testing.assert_array_equal(image.get_fdata().squeeze(), np.arange(6.0).reshape(2, 3).T)
    np.testing.assert_array_equal(mask.get_fdata().squeeze(), np.eye(3, 2))
    splits = json.loads((tmp_path / "out" / "splits.json").read_text(encoding="utf-8"))
    assert splits["train"] == ["patient002_frame01_slice_1", "patient001_frame01_slice_2"]
    assert splits["unlisted"] == ["patient001_frame01_slice_1"]
