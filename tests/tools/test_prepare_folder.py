"""Own data in all forms: DICOM series, channels in files, masks of 0 and 255, color pictures, missing labels."""

import json

import nibabel
import numpy as np
import pytest

from common.datasets import load_datalist
from common.errors import InputError
from tests.series import write_series
from tests.tools import archives
from tools.prepare import prepare


def test_dicom_and_files_side_by_side_with_fewer_labels(tmp_path, capsys):
    source = tmp_path / "in"
    image, label = archives.volume(1, low=-100, high=200)
    archives.write_series(image, source / "images" / "scan_a", (0.7, 0.7, 2.0))
    archives.write(label, source / "labels" / "scan_a.nrrd", spacing=(0.7, 0.7, 2.0), origin=(-10.0, -20.0, 5.0))
    archives.write(image.astype(np.float32), source / "images" / "scan_b.mha", spacing=(0.7, 0.7, 2.0))
    archives.write(label, source / "labels" / "lonely.nii.gz")
    with pytest.raises(InputError, match="1 of 3 cases failed"):
        prepare("folder", str(source), str(tmp_path / "out"))
    assert "lonely.nii.gz: a label without its image" in capsys.readouterr().out
    cases = load_datalist(tmp_path / "out")
    assert [case["case"] for case in cases["labeled"]] == ["scan_a"]
    assert [case["case"] for case in cases["unlabeled"]] == ["scan_b"] and "label" not in cases["unlabeled"][0]
    stored, mask = (nibabel.load(cases["labeled"][0][key]) for key in ("image", "label"))
    np.testing.assert_array_equal(stored.get_fdata(), image.round())
    np.testing.assert_array_equal(mask.get_fdata(), label)
    np.testing.assert_allclose(stored.affine, mask.affine, atol=1e-5)
    np.testing.assert_allclose(stored.affine[:3, 3], (10, 20, 5), atol=1e-4)


def test_channels_in_files_become_one_image(tmp_path):
    image, label = archives.volume(1)
    for n in range(3):
        archives.write((image * (n + 1)).astype(np.float32), tmp_path / "in" / "images" / f"case_{n:04d}.nii.gz")
    archives.write(label, tmp_path / "in" / "labels" / "case.nii.gz")
    prepare("folder", str(tmp_path / "in"), str(tmp_path / "out"))
    stored = nibabel.load(tmp_path / "out" / "images" / "case.nii.gz")
    assert stored.shape == (*image.shape, 3)
    np.testing.assert_allclose(stored.get_fdata()[..., 2], 3 * image, rtol=1e-6)


def test_masks_of_0_and_255_and_drawn_test_patients(tmp_path, capsys):
    for n in range(8):
        archives.picture(tmp_path / "in" / "pictures" / f"p{n // 2}_{n % 2}.png", n, color=n == 0)
        if n != 7:
            mask = np.zeros((20, 16), np.uint8)
            mask[4:9, 3:7] = 255
            archives.picture(tmp_path / "in" / "masks" / f"p{n // 2}_{n % 2}.png", 0, values=mask)
    options = {"images": "pictures", "labels": "masks", "group": "{patient}_*", "test": 0.25, "seed": 0}
    prepare("folder", str(tmp_path / "in"), str(tmp_path / "out"), **options)
    entry = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))["cases"]["p0_0"]["images"][0]
    assert entry["label_values"] == {"255": 1}
    assert "label values are class numbers now, in segmentations too: 255 is 1" in capsys.readouterr().out
    splits = json.loads((tmp_path / "out" / "splits.json").read_text(encoding="utf-8"))
    patients = {key: {name[:2] for name in splits.get(key, ())} for key in ("train", "labeled", "unlabeled", "test")}
    assert len(patients["test"]) == 1 and not patients["test"] & (patients["train"] | patients["labeled"])


@pytest.mark.parametrize("kind", ["smooth", "size"])
def test_a_label_that_is_none_is_named(tmp_path, capsys, kind):
    image, label = archives.volume(1)
    for name in ("good", "bad"):
        archives.write(image.astype(np.float32), tmp_path / "in" / "images" / f"{name}.nii.gz")
        archives.write(label, tmp_path / "in" / "labels" / f"{name}.nii.gz")
    wrong = label + 0.5 if kind == "smooth" else label[1:]
    archives.write(wrong.astype(np.float32), tmp_path / "in" / "labels" / "bad.nii.gz")
    with pytest.raises(InputError, match="1 of 2 cases failed"):
        prepare("folder", str(tmp_path / "in"), str(tmp_path / "out"))
    expected = {"smooth": "no label map", "size": "label of size (23, 20, 12) for an image of size (24, 20, 12)"}
    assert (
        f"FAILED bad: {tmp_path}/in/labels/bad.nii.gz: " in (text := capsys.readouterr().out) and expected[kind] in text
    )
    assert [path.name for path in (tmp_path / "out" / "images").iterdir()] == ["good.nii.gz"]


def numbered(root, labels="abcde", images="abcdef", **lists):
    """Pictures a, b, ... of equal patients p1 (a, b, c) and p2, with a ``splits.json`` where lists are given."""
    for number, name in enumerate(images):
        stem = f"p{1 + number // 3}_{name}"
        archives.picture(root / "images" / f"{stem}.png", number)
        if name in labels:
            archives.picture(root / "labels" / f"{stem}.png", 0, values=np.eye(20, 16, dtype=np.uint8))
    if lists:
        (root / "splits.json").write_text(json.dumps(lists), encoding="utf-8")
    return str(root)


def splits_of(folder):
    return json.loads((folder / "splits.json").read_text(encoding="utf-8"))


FORMS = {
    "labeled and unlabeled, which has labels too": (
        {"labeled": ["p1_b"], "unlabeled": ["p1_a", "p1_c"], "validation": ["p2_e"], "test": ["p2_d"]},
        {"labeled": ["p1_b"], "unlabeled": ["p1_a", "p1_c"], "val": ["p2_e"], "test": ["p2_d"], "unlisted": ["p2_f"]},
    ),
    "labeled alone": (
        {"labeled": ["p1_c", "p1_a"]},
        {"labeled": ["p1_c", "p1_a"], "unlisted": ["p1_b", "p2_d", "p2_e", "p2_f"]},
    ),
    "the community's, in its order": (
        {"train": ["p1_c", "p1_a", "p1_b"], "val": ["p2_d"], "test": ["p2_e"]},
        {"train": ["p1_c", "p1_a", "p1_b"], "val": ["p2_d"], "test": ["p2_e"], "unlisted": ["p2_f"]},
    ),
    "a training case without a label": (
        {"train": ["p2_d", "p2_f", "p2_e"], "test": ["p1_a"]},
        {"labeled": ["p2_d", "p2_e"], "unlabeled": ["p2_f"], "test": ["p1_a"], "unlisted": ["p1_b", "p1_c"]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_lists_of_the_source_are_kept(tmp_path, form):
    lists, expected = FORMS[form]
    source = numbered(tmp_path / "in", group="{patient}_*", origin="a paper", **lists)
    prepare("folder", source, str(tmp_path / "out"))
    kept = splits_of(tmp_path / "out")
    assert {key: kept.pop(key) for key in ("origin", "group")} == {
        "origin": "lists of the source (a paper)",
        "group": "{patient}_*",
    }
    assert kept == expected
    before, after = (load_datalist(root, labeled=1) for root in (tmp_path / "in", tmp_path / "out"))
    assert all([c["case"] for c in before[role]] == [c["case"] for c in after[role]] for role in ("labeled", "test"))


def test_lists_are_redrawn_on_demand_only(tmp_path):
    source = numbered(tmp_path / "in", train=["p1_a"], test=["p2_e"])
    prepare("folder", source, str(tmp_path / "out"), test=0.5)
    assert splits_of(tmp_path / "out")["test"] == ["p2_e"]
    prepare("folder", source, str(tmp_path / "out"), test=0.5, splits="redraw")
    lists = splits_of(tmp_path / "out")
    assert "drawn by patient" in lists["origin"] and len(lists["labeled"] + lists["test"]) == 5
    with pytest.raises(ValueError, match="splits must be one of"):
        prepare("folder", source, str(tmp_path / "out"), splits="new")


def test_a_listed_case_without_its_files_is_named(tmp_path, capsys):
    source = numbered(tmp_path / "in", labeled=["p1_a", "p1_x"], test=["p2_d", "p2_f"])
    with pytest.raises(InputError, match="1 of 6 cases failed"):
        prepare("folder", source, str(tmp_path / "out"))
    text = capsys.readouterr().out
    assert "the list 'test' names p2_f, which has no label" in text and "missing: p1_x" in text
    lists = splits_of(tmp_path / "out")
    assert (lists["labeled"], lists["test"], lists["missing"]) == (["p1_a"], ["p2_d"], ["p1_x"])


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"train": ["p1_a"], "test": ["p1_a"]}, "p1_a is in both 'labeled' and 'test'"),
        ({"labeled": ["p1_a"], "unlabeled": ["p1_a"]}, "p1_a is in both 'labeled' and 'unlabeled'"),
        ({"train": {"site": ["p1_a"]}}, "key 'train' must be a list of case names"),
        ({"test": ["p1_a"]}, "expected a list 'labeled' or 'train'"),
        ({"train": ["p1_a"], "group": r"(p\d)_"}, "expected a template such as {patient}_\\*"),
    ],
)
def test_wrong_lists_are_refused_and_nothing_written(tmp_path, lists, message):
    source = numbered(tmp_path / "in", **lists)
    with pytest.raises(InputError, match=message):
        prepare("folder", source, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_patient_on_two_sides_of_kept_lists_is_reported(tmp_path, capsys):
    source = numbered(tmp_path / "in", train=["p1_a"], test=["p1_b"], group="{patient}_*")
    prepare("folder", source, str(tmp_path / "out"))
    assert "LEAK p1_" in capsys.readouterr().out


def test_slices_of_a_tilted_gantry_are_put_straight(tmp_path):
    """Each slice lies 1 mm further back than the one below it; voxels of 1 mm keep their values, one row further."""
    source, affine = tmp_path / "in", np.diag([-1.0, -1.0, 2.0, 1.0])
    affine[1, 2] = 1.0
    values = np.random.default_rng(0).integers(1, 500, (6, 8, 4)).astype(np.int16)
    write_series(source / "images" / "a", nibabel.Nifti1Image(values, affine))
    archives.write((values > 250).astype(np.uint8), source / "labels" / "a.nrrd")
    prepare("folder", str(source), str(tmp_path / "out"))
    image, label = (nibabel.load(tmp_path / "out" / kind / "a.nii.gz") for kind in ("images", "labels"))
    np.testing.assert_allclose(image.affine[:3, :3], np.diag([-1, -1, 2]), atol=1e-6)
    np.testing.assert_allclose(label.affine, image.affine)
    assert image.shape == (6, 11, 4)
    for k in range(4):
        first = round((affine @ [0, 0, k, 1] - image.affine[:, 3])[1] / image.affine[1, 1])
        rows = slice(first, first + 8)
        np.testing.assert_allclose(image.get_fdata()[:, rows, k], values[..., k], atol=0.01)
        np.testing.assert_array_equal(label.get_fdata()[:, rows, k], values[..., k] > 250)
        assert label.get_fdata()[:, :, k].sum() == (values[..., k] > 250).sum()
