"""Segmentations against labels: figures made by hand, failures shown, wrong folders refused."""

import csv
import json

import nibabel
import numpy as np
import pytest
from PIL import Image

from common.errors import InputError
from tools.score import score

SPACING = (1.0, 2.0, 4.0)


def save(path, values, spacing=SPACING):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values.astype(np.uint8), np.diag([*spacing, 1])), path)


def block(*corners):
    values = np.zeros((16, 12, 8))
    for value, (x, y, z), size in corners:
        values[x : x + size, y : y + size, z : z + size] = value
    return values


@pytest.fixture
def data(tmp_path):
    truth = {
        "p1_a": block((1, (2, 2, 2), 4), (2, (9, 2, 2), 3)),
        "p1_b": block((1, (2, 2, 2), 4)),
        "p2_a": block((1, (4, 4, 1), 5)),
    }
    made = {
        "p1_a": block((1, (3, 2, 2), 4)),
        "p1_b": block((1, (2, 2, 2), 4)),
        "p2_a": block((1, (4, 4, 1), 5), (2, (0, 0, 0), 2)),
    }
    for name in truth:
        save(tmp_path / "labels" / f"{name}.nii.gz", truth[name])
        save(tmp_path / "made" / f"{name}_seg.nii.gz", made[name])
        save(tmp_path / "images" / f"{name}.nii.gz", truth[name] * 50 + 20)
    return tmp_path


def rows(data):
    with (data / "made" / "scores.csv").open(encoding="utf-8", newline="") as file:
        return {(row["case"], row["class"]): row for row in csv.DictReader(file)}


def test_figures_are_those_made_by_hand(data, capsys):
    content = score(str(data / "made"), str(data / "labels"), tolerance=0.5)
    found = rows(data)
    shifted = found["p1_a", "1"]
    assert float(shifted["dice"]) == pytest.approx(0.75) and float(shifted["hd95"]) == pytest.approx(1.0)
    assert float(shifted["label_ml"]) == pytest.approx(64 * 8 / 1000)
    assert float(found["p1_b", "1"]["surface_dice"]) == 1 and ("p1_b", "2") not in found
    lost = found["p1_a", "2"]
    assert (lost["failure"], lost["dice"], lost["hd95"], lost["surface_dice"]) == ("empty", "0.0", "nan", "0.0")
    assert found["p2_a", "2"]["failure"] == "absent"
    assert content["failures"] == {"empty": ["p1_a (class 2)"], "absent": ["p2_a (class 2)"]}
    assert content["dice"] == pytest.approx((0.375 + 1 + 0.5) / 3)
    text = capsys.readouterr().out
    assert "FAILURE found nothing of: p1_a (class 2)" in text and "95HD 0.33" in text and "95HD nan" in text
    assert json.loads((data / "made" / "scores.json").read_text(encoding="utf-8"))["classes"]["1"]["cases"] == 3


def test_patients_count_as_independent_and_the_worst_are_drawn(data, capsys):
    content = score(str(data / "made"), str(data / "labels"), group="{patient}_*", images=str(data / "images"), worst=2)
    assert content["independent"] == 2 and "says nothing of others" in capsys.readouterr().out
    assert (data / "made" / "worst.png").stat().st_size > 5000


def test_frames_are_of_one_patient_without_being_told_and_failures_are_counted(tmp_path, capsys):
    for patient in range(4):
        for frame in (1, 2):
            name = f"p{patient}_frame{frame}"
            save(tmp_path / "labels" / f"{name}.nii.gz", block((1, (2, 2, 2), 4)))
            save(tmp_path / "made" / f"{name}.nii.gz", block())
    content = score(str(tmp_path / "made"), str(tmp_path / "labels"))
    text = capsys.readouterr().out
    assert content["independent"] == 4 and "8 cases of 4 patients by their names: Dice 0.00 %" in text
    assert "p2_frame2 (class 1) and 2 more, see failure in scores.csv" in text and "95HD nan mm" in text
    assert score(str(tmp_path / "made"), str(tmp_path / "labels"), group="none")["independent"] == 8


def test_other_numbers_of_the_same_classes_are_pointed_out(tmp_path, capsys):
    save(tmp_path / "labels" / "a.nii.gz", block((5, (2, 2, 2), 4), (200, (9, 2, 2), 3)))
    save(tmp_path / "made" / "a.nii.gz", block((1, (2, 2, 2), 4), (2, (9, 2, 2), 3)))
    score(str(tmp_path / "made"), str(tmp_path / "labels"))
    assert "segmentations hold [1, 2], labels [5, 200]: are these the same classes" in capsys.readouterr().out


def test_pictures_are_measured_in_pixels(tmp_path):
    mask = np.zeros((20, 30), np.uint8)
    mask[4:10, 5:15] = 255
    for folder, shift in (("labels", 0), ("made", 2)):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.roll(mask, shift, axis=1)).save(tmp_path / folder / "a.png")
    content = score(str(tmp_path / "made"), str(tmp_path / "labels"))
    assert content["classes"]["255"]["hd95"] == pytest.approx(2.0) and content["classes"]["255"]["dice"] == 0.8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: (d / "made" / "p2_a_seg.nii.gz").unlink(), "no segmentation of p2_a.nii.gz"),
        (
            lambda d: save(d / "made" / "p2_a_seg.nii.gz", np.ones((4, 4, 4))),
            "4 x 4 x 4 voxels, and its label",
        ),
        (lambda d: save(d / "made" / "p2_a_seg.nii.gz", block(), (1, 2, 3)), "spacing, origin or direction are not"),
        (lambda d: [save(path, block()) for path in (d / "labels").iterdir()], "no label has a foreground"),
        (lambda d: [path.unlink() for path in (d / "labels").iterdir()], "no labels that can be read"),
    ],
)
def test_what_does_not_fit_is_one_line_and_nothing_is_written(data, change, words):
    change(data)
    with pytest.raises(InputError, match=words):
        score(str(data / "made"), str(data / "labels"))
    assert not (data / "made" / "scores.csv").exists()


@pytest.mark.parametrize(
    ("options", "words"), [({"tolerance": -1}, "--tolerance"), ({"group": "{patient}-*"}, "fits no case")]
)
def test_wrong_options_are_refused(data, options, words):
    with pytest.raises(InputError, match=words):
        score(str(data / "made"), str(data / "labels"), **options)


def test_what_inference_expected_is_judged(data, capsys):
    lines = ["case,expected,low,high,confidence", "p1_b,0.9,0.7,1.0,0.9", "p2_a,0.9,0.8,1.0,0.9", "p9,0.5,0.4,0.6,0.5"]
    (data / "made" / "expected_dice.csv").write_text("\n".join(lines), encoding="utf-8")
    content = score(str(data / "made"), str(data / "labels"))
    told = content["expected"]
    assert (told["cases"], told["held"]) == (2, 1) and told["of cases"]["p2_a"]["dice"] == 0.5  # a class too many
    assert "expected Dice of single cases: intervals held for 1 of 2" in capsys.readouterr().out
    assert json.loads((data / "made" / "scores.json").read_text(encoding="utf-8"))["expected"] == told


def test_masks_beside_their_images_are_the_labels(tmp_path):
    """As breast ultrasound is downloaded: ``name.png``, ``name_mask.png``, ``name_mask_1.png`` of a second lesion."""
    made = np.zeros((16, 12), np.uint8)
    made[2:6, 2:6], made[10:12, 2:6] = 1, 1
    for name in ("case (1)", "case (2)"):
        for ending, values in (("", made * 90), ("_mask", made * (np.arange(16) < 8)[:, None])):
            save_picture(tmp_path / "data" / f"{name}{ending}.png", values)
        save_picture(tmp_path / "made" / f"{name}.png", made)
    save_picture(tmp_path / "data" / "case (1)_mask_1.png", made * (np.arange(16) > 8)[:, None])
    save_picture(tmp_path / "data" / "case (3).png", made)  # without a label, so there is nothing to measure
    found = score(str(tmp_path / "made"), str(tmp_path / "data"))
    with open(tmp_path / "made" / "scores.csv", encoding="utf-8") as file:
        dice = [float(row["dice"]) for row in csv.DictReader(file)]
    assert found["cases"] == 2 and dice == [1.0, pytest.approx(2 * 16 / (24 + 16))]


def save_picture(path, values):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)
