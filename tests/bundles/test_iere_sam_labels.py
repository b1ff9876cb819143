"""IERE: SAM's labels measured against the teacher's, reported over training, and used where they are better."""

import csv

import pytest
import torch
from iere import Views
from iere.sam import SamOptions
from torch.nn import functional as F

from common.errors import InputError
from common.sam import BoxRefiner
from common.sam.testing import tiny_sam, write_tiny_checkpoint

from .test_iere_sam import IDENTITY, answer, sam_of, shapes


def soft(label, sure=9.0):
    return sure * F.one_hot(label, 3).movedim(-1, 1).float()


def rows(folder):
    return list(csv.DictReader((folder / "sam_labels.csv").read_text(encoding="utf-8").splitlines()))


OPTIONS = {"sam#report": 3, "sam#use": "measured", "sam#box_from": "soft", "sam#finetune_params": "decoder"}


def test_a_run_reports_both_labels_and_goes_on_when_resumed(phantoms_2d, run_tiny, tmp_path):
    path = write_tiny_checkpoint(tmp_path / "sam.pt", img_size=32)
    options = {**OPTIONS, "sam#kind": "tiny", "sam#img_size": 32, "sam#checkpoint": str(path), "labeled": 2}
    options |= {"dataset_dir": str(phantoms_2d), "base_channels": 4, "pretrain#steps": 1, "validation": 1}
    run_tiny("iere_segmentation", **options, iterations=3)
    first = rows(tmp_path)
    assert list(first[0]) == ["iteration", "list", "class", "slices", "teacher", "sam", "used", "better"]
    assert {(row["iteration"], row["list"]) for row in first} == {
        (i, name) for i in "23" for name in ("labeled", "validation")
    }
    assert all(0 <= float(row[name]) <= 1 for row in first for name in ("teacher", "sam", "used", "better"))
    assert {row["slices"] for row in first if row["list"] == "labeled"} == {"2"}
    state = torch.load(tmp_path / "resume.pt", weights_only=True)["objective"]
    assert (state["sam.trust.weight"] > 0).all()
    run_tiny("iere_segmentation", **options, iterations=4, resume=True, overwrite=False)
    assert rows(tmp_path)[: len(first)] == first and rows(tmp_path)[-1]["iteration"] == "4"


def test_a_report_changes_nothing_of_the_training(phantoms_2d, run_tiny, tmp_path):
    path, weights = write_tiny_checkpoint(tmp_path / "sam.pt", img_size=32), []
    options = {"sam#kind": "tiny", "sam#img_size": 32, "sam#checkpoint": str(path), "labeled": 2, "pretrain#steps": 0}
    for slices in (0, 2):
        torch.manual_seed(0)
        (tmp_path / "sam_labels.csv").unlink(missing_ok=True)
        if slices:  # of a run that is replaced
            (tmp_path / "sam_labels.csv").write_text("iteration,list,class\n0,old,1\n", encoding="utf-8")
        run_tiny(
            "iere_segmentation", **options, dataset_dir=str(phantoms_2d), base_channels=4, **{"sam#report": slices}
        )
        weights.append(torch.load(tmp_path / "model.pt", weights_only=True))
        assert (tmp_path / "sam_labels.csv").is_file() == bool(slices)
    assert {row["list"] for row in rows(tmp_path)} == {"labeled", "validation"}
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_labels_are_taken_where_they_were_measured_to_be_better():
    """A perfect teacher keeps its labels, one that is wrong where it learned takes SAM's."""
    image, truth = torch.rand(4, 1, 64, 64), shapes()
    for wrong in (False, True):
        torch.manual_seed(5)
        teacher = sam_of(use="measured", cache="off")
        views = Views(image, image, IDENTITY, range(4))
        logits = soft(truth.roll(30, 2) if wrong else truth)
        masks = teacher.refiner(image, logits.argmax(1)).label.detach()
        teacher.measure(views, logits, masks if wrong else truth, lambda z: z.argmax(1))
        label, _ = teacher.labels(views, logits.argmax(1), logits)
        changed = (label != logits.argmax(1)).any()
        assert bool(changed) == wrong


def test_soft_boxes_and_boxes_of_components_exclude_each_other():
    refiner = BoxRefiner(tiny_sam(64), num_classes=3, components=2)
    with pytest.raises(InputError, match="set sam.components to 0"):
        type(sam_of())(refiner, options=SamOptions(box_from="soft"))


def test_soft_boxes_of_sure_logits_are_those_of_labels():
    image, pseudo = torch.rand(4, 1, 64, 64), shapes()
    torch.manual_seed(5)
    by_label, _ = answer(sam_of(cache="off"), image, pseudo)
    torch.manual_seed(5)
    by_box, _ = answer(sam_of(cache="off", box_from="soft"), image, pseudo)
    assert torch.equal(by_label, by_box)
