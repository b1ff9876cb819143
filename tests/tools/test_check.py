"""Each kind of finding on a data set made to have it, and none on a clean one."""

import json
import os

import nibabel
import numpy as np
import pytest
from PIL import Image

from common.data import Phantom, write_phantoms
from common.datasets import find_cases
from common.datasets.likeness import find_pairs, grid_step, signature
from common.errors import InputError
from tests.tools import archives
from tools.check import check
from tools.plan import plan


@pytest.fixture
def data(tmp_path):
    return write_phantoms(tmp_path / "data", Phantom((32, 28, 16)), labeled=3, unlabeled=2, validation=1, test=1)


def run(data, tmp_path, fails=None, **options):
    """The findings as {(case, kind)} and the whole report; ``fails``: the expected count of errors."""
    if fails is None:
        check(str(data), output=str(tmp_path / "report"), **options)
    else:
        with pytest.raises(InputError, match=f"{fails} errors"):
            check(str(data), output=str(tmp_path / "report"), **options)
    report = json.loads((tmp_path / "report" / "check.json").read_text(encoding="utf-8"))
    return {(c["case"], f["kind"], f["level"]) for c in report["cases"] for f in c["findings"]}, report


def change(path, function):
    """Rewrite a NIfTI file, its array and header passed through ``function``."""
    image = nibabel.load(path)
    values, affine = function(image.get_fdata(), image.affine.copy())
    nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), affine), path)


def test_a_clean_data_set_has_no_findings(data, tmp_path, capsys):
    found, report = run(data, tmp_path)
    assert found == set() and report["pairs"] == []
    text = capsys.readouterr().out
    assert "7 images, 5 with a readable label: 5 train, 1 validation, 1 test" in text and "nothing found" in text
    facts = report["cases"][0]
    image = nibabel.load(data / "images" / "phantom_000.nii.gz").get_fdata()
    label = nibabel.load(data / "labels" / "phantom_000.nii.gz").get_fdata()
    assert facts["shape"] == [32, 28, 16] and facts["mean"] == pytest.approx(image.mean(), abs=1e-5)
    assert facts["volumes"]["1"] == pytest.approx(label.sum() / 1000, abs=1e-4)
    assert (tmp_path / "report" / "contact_sheet.png").stat().st_size > 10_000


def test_each_kind_of_damage_is_found(data, tmp_path, capsys):
    images, labels = data / "images", data / "labels"
    (images / "phantom_000.nii.gz").write_bytes(b"cut")
    change(labels / "phantom_001.nii.gz", lambda v, a: (v, a + np.diag([0, 0, 0.5, 0])))
    change(labels / "phantom_002.nii.gz", lambda v, a: (v * 3, a))
    change(images / "phantom_003.nii.gz", lambda v, a: (np.where(v > 1, np.nan, v), a))
    change(images / "phantom_004.nii.gz", lambda v, a: (v, np.diag([3.0, 1, 1, 1])))
    change(labels / "phantom_005.nii.gz", lambda v, a: (v * 0, a))
    change(images / "phantom_006.nii.gz", lambda v, a: (v * 1000, a))
    (labels / "stray.nii.gz").write_bytes((labels / "phantom_006.nii.gz").read_bytes())
    found, _ = run(data, tmp_path, fails=5, classes=2)
    assert found == {
        ("phantom_000", "unreadable", "error"),
        ("phantom_001", "geometry", "error"),
        ("phantom_002", "label values", "error"),
        ("phantom_003", "not finite", "error"),
        ("phantom_004", "spacing", "warning"),
        ("phantom_004", "unlike labeled", "warning"),
        ("phantom_005", "empty label", "warning"),
        ("phantom_006", "intensities", "warning"),
        ("stray", "incomplete", "error"),
    }
    assert "values [3] outside the classes 0..1" in capsys.readouterr().out


def test_strict_counts_warnings(data, tmp_path):
    change(data / "labels" / "phantom_005.nii.gz", lambda v, a: (v * 0, a))
    run(data, tmp_path)
    run(data, tmp_path, fails=0, strict=True)


def test_masks_of_255_are_named_once_for_all(tmp_path, capsys):
    for n in range(5):
        archives.picture(tmp_path / "data" / "images" / f"{n}.png", n)
        archives.picture(tmp_path / "data" / "masks" / f"{n}.png", 0, values=np.eye(20, 16, dtype=np.uint8) * 255)
    found, _ = run(tmp_path / "data", tmp_path)
    assert {(kind, level) for _, kind, level in found} == {("coded masks", "warning")}
    text = capsys.readouterr().out
    assert "0, 1, 2 and 2 more: labels hold 0, 255" in text and "-> nothing: plan numbers the classes" in text
    assert "stored as 255" in text


def test_labels_of_any_whole_numbers_are_no_mistake(data, tmp_path, capsys):
    for path in (data / "labels").iterdir():
        change(path, lambda v, a: (v * 200, a))
    found, _ = run(data, tmp_path)
    assert {(kind, level) for _, kind, level in found} == {("coded masks", "warning")}
    text = capsys.readouterr().out
    assert "labels hold 0, 200" in text and "class 1   in 5 labels" in text and "stored as 200" in text


def test_a_value_that_one_label_alone_has_is_a_mistake(data, tmp_path, capsys):
    label = data / "labels" / "phantom_002.nii.gz"
    change(label, lambda v, a: (np.where((v == 1) & (np.arange(v.shape[0]) < 14)[:, None, None], 7, v), a))
    found, _ = run(data, tmp_path, fails=1)
    assert found == {("phantom_002", "lone value", "error")}
    assert "phantom_002: value 7 is in this label alone, of 5" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"phantom_002\.nii\.gz: value 7 is in this label alone, of 5; correct"):
        plan(str(data), output=str(tmp_path / "plan"))
    assert not (tmp_path / "plan").exists()


def test_a_class_that_one_label_alone_has_deserves_a_look(data, tmp_path):
    label = data / "labels" / "phantom_002.nii.gz"
    change(label, lambda v, a: (np.where((v == 1) & (np.arange(v.shape[0]) < 14)[:, None, None], 2, v), a))
    found, _ = run(data, tmp_path)
    assert found == {("phantom_002", "lone value", "warning")}


def test_a_smoothed_label_is_told_from_other_numbers(data, tmp_path, capsys):
    change(data / "labels" / "phantom_002.nii.gz", lambda v, a: (v / 2, a))
    found, _ = run(data, tmp_path, fails=1)
    assert found == {("phantom_002", "no label map", "error")}
    assert "-> save the label again without smoothing" in capsys.readouterr().out


def test_frames_on_two_sides_are_found_without_a_template(tmp_path):
    for n, name in enumerate(f"p{patient}_frame{frame}" for patient in range(3) for frame in (1, 2)):
        for values, folder in zip(archives.volume(n), ("images", "labels")):
            archives.write(values, tmp_path / "data" / folder / f"{name}.nii.gz")
    names = [f"p{patient}_frame{frame}" for patient in range(3) for frame in (1, 2)]
    lists = {"labeled": names[:3], "unlabeled": names[4:], "validation": names[3:4]}
    (tmp_path / "data" / "splits.json").write_text(json.dumps(lists), encoding="utf-8")
    with pytest.raises(InputError, match="1 errors.*the first: p1_frame2, its patient is in .* as p1_frame1"):
        check(str(tmp_path / "data"), output=str(tmp_path / "report"))


def test_copies_and_patients_on_two_sides(data, tmp_path):
    images, labels = data / "images", data / "labels"
    for folder in (images, labels):
        (folder / "phantom_006.nii.gz").write_bytes((folder / "phantom_000.nii.gz").read_bytes())
    (images / "phantom_004.nii.gz").write_bytes((images / "phantom_001.nii.gz").read_bytes())
    found, report = run(data, tmp_path, fails=1)
    assert found == {("phantom_000", "leak", "error"), ("phantom_001", "copy", "warning")}
    assert [(p["first"], p["second"], p["identical"], p["roles"]) for p in report["pairs"]] == [
        ("phantom_000", "phantom_006", True, ["train", "test"]),
        ("phantom_001", "phantom_004", True, ["train", "train"]),
    ]
    found, _ = run(data, tmp_path, fails=3, group="{patient}_{number}")  # of training, validation and test
    assert ("phantom_005", "leak", "error") in found


def test_two_folders_domains_and_a_datalist_are_understood(tmp_path):
    image, label = archives.volume(0)
    for domain in ("a", "b"):
        for n in range(2):
            archives.write(image, tmp_path / "many" / domain / "images" / f"{domain}{n}.nii.gz")
        archives.write(label, tmp_path / "many" / domain / "masks" / f"{domain}0.nii.gz")
    items = find_cases(tmp_path / "many").cases
    assert [(i.name, i.label is not None) for i in items] == [("a0", True), ("a1", False), ("b0", True), ("b1", False)]
    listing = find_cases(tmp_path / "many", images="a/images", labels=str(tmp_path / "many" / "a" / "masks"))
    assert [(i.name, i.label is not None) for i in listing.cases] == [("a0", True), ("a1", False)]
    pairs = [{"image": "a/images/a0.nii.gz", "label": "a/masks/a0.nii.gz"}, {"image": "b/images/b1.nii.gz"}]
    (tmp_path / "many" / "list.json").write_text(
        json.dumps({"training": pairs, "test": ["b/images/lost.nii.gz"]}), encoding="utf-8"
    )
    listing = find_cases(tmp_path / "many" / "list.json")
    assert [(i.name, i.role, i.label is not None) for i in listing.cases] == [
        ("a0", "train", True),
        ("b1", "train", False),
    ]
    assert list(listing.broken) == ["lost"]
    with pytest.raises(InputError, match="images: no such folder"):
        find_cases(tmp_path)


def test_domains_may_share_names_where_lists_tell_them_apart(tmp_path):
    image, label = archives.volume(0)
    for domain in ("a", "b"):
        archives.write(image, tmp_path / domain / "images" / "0.nii.gz")
    archives.write(label, tmp_path / "b" / "masks" / "0.nii.gz")
    with pytest.raises(InputError, match="b.images.0.nii.gz: .*a.images.0.nii.gz has the same name"):
        find_cases(tmp_path)
    (tmp_path / "splits.json").write_text(json.dumps({"train": {"a": ["0"]}, "test": {"b": ["0"]}}), encoding="utf-8")
    items = find_cases(tmp_path).cases
    assert [(i.name, i.role, i.label is not None) for i in items] == [("a/0", "train", False), ("b/0", "test", True)]


def test_splits_that_name_what_is_not_there(data, tmp_path):
    lists = json.loads((data / "splits.json").read_text(encoding="utf-8"))
    lists["test"].append("phantom_099")
    lists["validation"].append("phantom_003")  # an unlabeled case
    (data / "splits.json").write_text(json.dumps(lists), encoding="utf-8")
    found, _ = run(data, tmp_path, fails=2)
    assert found == {("phantom_099", "incomplete", "error"), ("phantom_003", "incomplete", "error")}


def test_a_recropped_rescaled_copy_is_found_and_others_are_not():
    volumes = {f"v{n}": Phantom((96, 80, 48), difficulty=0.8).sample(n)[0] for n in range(6)}
    volumes["copy"] = 2.5 * volumes["v2"][11:, :-9, 5:] + 40
    step = grid_step([v.shape for v in volumes.values()])
    pairs = find_pairs({name: signature(v, step) for name, v in volumes.items()}, lambda a, b: False)
    assert [(p.first, p.second, p.identical) for p in pairs] == [("v2", "copy", False)]
    assert find_pairs({n: signature(v, step) for n, v in volumes.items()}, lambda a, b: True) == []


def test_signature_survives_flat_and_tiny_images():
    for values in (np.zeros((40, 40)), np.full((3, 5), 2.0), np.random.default_rng(0).random((1, 60))):
        mark = signature(values, (2, 2))
        assert np.isfinite(mark.structure).all()


def test_headers_that_promise_too_much_and_voxels_of_other_kinds_are_findings(data, tmp_path):
    images = data / "images"
    huge = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4))
    huge.header.set_data_shape((30000, 30000, 30000))
    for name, ending in (("phantom_000", ".nii.gz"), ("phantom_001", ".nii")):
        (images / f"{name}.nii.gz").unlink()
        path = images / f"{name}{ending}"
        with nibabel.openers.ImageOpener(path, "wb") as file:
            file.write(huge.header.binaryblock + bytes(4 + 128))
    wave = np.random.default_rng(0).normal(size=(32, 28, 16)).astype(np.complex64)
    nibabel.save(nibabel.Nifti1Image(wave, np.eye(4)), images / "phantom_002.nii.gz")
    found, _ = run(data, tmp_path, fails=3)
    assert {("phantom_000", "unreadable", "error"), ("phantom_001", "unreadable", "error")} <= found
    assert ("phantom_002", "no numbers", "error") in found


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_pictures_of_several_channels_are_drawn(tmp_path, mode):
    rng = np.random.default_rng(0)
    (tmp_path / "data" / "images").mkdir(parents=True)
    for number in range(2):
        values = rng.integers(0, 255, (24, 20, len(mode)), np.uint8)
        Image.fromarray(values, mode).save(tmp_path / "data" / "images" / f"p{number}.png")
    run(tmp_path / "data", tmp_path)


def test_what_lies_among_the_images_and_is_not_read_is_said(data, tmp_path, capsys):
    images = data / "images"
    (images / "scan.webp").write_bytes(b"RIFF")
    (images / "gone.nii.gz").symlink_to(tmp_path / "nowhere")
    os.mkfifo(images / "pipe.png")
    found, _ = run(data, tmp_path, fails=2)
    assert found == {("gone", "incomplete", "error"), ("pipe", "incomplete", "error")}
    assert "not read: 1 files, such as scan.webp" in capsys.readouterr().out


def test_a_template_that_fits_no_case_is_refused(data, tmp_path):
    with pytest.raises(InputError, match="fits no case, such as phantom_000"):
        check(str(data), output=str(tmp_path / "report"), group="{patient}-slice*")
    assert not (tmp_path / "report").exists()
