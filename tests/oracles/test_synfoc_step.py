"""SynFoC: whole steps of the published code, by the objective that official.yaml builds."""

import pytest
import synfoc.objective
import torch
from torch import nn

from common.transforms import Batch

from .records import GRADIENT, TERM, TOTAL, Recorded, near, preset, read, same

STEPS = ["step_C2", "step_C4", "step_C3_nested", "step_C2_equal_sizes_saturated"]


def official(record, **options):
    """The objective of official.yaml at the sizes of a record, on networks that answer what was recorded."""
    classes, large, side = (int(record[name]) for name in ("classes", "S", "P"))
    parts = {str(n): row.nonzero().flatten().tolist() for n, row in enumerate(record["parts"])}
    parser = preset(
        "synfoc_segmentation", "official", num_classes=classes, parts=parts, iterations=int(record["iterations"]),
        patch_size=[side, side], sizes={"unet": [side, side], "sam": [large, large]}, base_channels=2,
        tau=float(record["tau"]), **{"sam#kind": "none"}, **options,
    )  # fmt: skip
    method = parser.get_parsed_content("objective")
    logits = {name.removeprefix("in_logits_"): value for name, value in record.items() if "in_logits" in name}
    method.students = nn.ModuleDict({
        "unet": Recorded(*(logits[f"unet_{name}"] for name in ("student_weak", "labeled", "mixed"))),
        "sam": Recorded(*(logits[f"sam_{name}"] for name in ("labeled", "mixed"))),
    })  # fmt: skip
    teachers = {name: Recorded(logits[f"{name}_teacher"]) for name in ("unet", "sam")}
    method.teachers = nn.ModuleDict(teachers).requires_grad_(False)
    box = method.box.apply(record["in_boxes"].long().view(-1, 2, 2), (side, side))
    method.strong, method.box = (lambda image: image), (lambda reference: box)
    return method


def batch_of(record):
    images = torch.cat([record["in_image_labeled"], record["in_image_strong"]]) / 255
    return Batch(images, record["in_label"][:, None])


@pytest.fixture(params=STEPS)
def record(request):
    return read("synfoc", request.param)


def test_terms_total_and_gradients(record):
    method, step = official(record), int(record["step"])
    terms = method(batch_of(record), step)
    for name in method.TERMS:
        near(terms[name], record[f"out_{name}"], TERM)
    assert method.weight("pseudo_unet", step) == pytest.approx(float(record["out_weight"]), abs=1e-12)
    total = method.total(terms, step)
    near(total, record["out_total"], TOTAL)
    total.backward()
    weak, *unet = (parameter.grad for parameter in method.students["unet"].answers)
    assert not weak.any()  # the pass that SMC needs has no gradient
    sam = [parameter.grad for parameter in method.students["sam"].answers]
    for name, gradient in zip(("unet_labeled", "unet_mixed", "sam_labeled", "sam_mixed"), [*unet, *sam]):
        near(gradient, record[f"grad_{name}"], GRADIENT)


@pytest.mark.parametrize("joint", [[], ["sam"]])
def test_images_that_the_networks_see(record, joint):
    method = official(record, joint_batch=joint)
    method(batch_of(record), int(record["step"]))
    n = len(record["in_label"])
    weak, labeled, mixed = method.students["unet"].seen
    same((255 * labeled).round(), record["map_image_labeled_P"])
    same((255 * mixed).round(), record["map_mixed_P"])
    same((255 * weak).round(), record["map_image_strong_P"])
    same((255 * torch.cat(method.students["sam"].seen)[n:]).round(), record["map_mixed_S"])


def test_labels_and_boxes(record):
    method, label = official(record), record["in_label"][:, None]
    box = method.box(None)
    same(box, record["map_box_P"])
    for size, name in ((int(record["s"]), "s"), (int(record["P"]), "P")):
        same(method.label_at(label, torch.empty(0, 0, size, size))[:, 0], record[f"map_label_{name}"])
        same(method.resize(box, (size, size)), record[f"map_box_{name}"])
    same(method.resize(box, (int(record["S"]),) * 2), record["map_box_S"])


def test_classes_and_weights_of_the_blend(record):
    method = official(record)
    unet, sam = (record[f"in_logits_{name}_teacher"].softmax(1).argmax(1) for name in ("unet", "sam"))
    student = record["in_logits_unet_student_weak"].softmax(1).argmax(1)
    for name, classes in (("unet_teacher", unet), ("sam_teacher", sam), ("unet_student", student)):
        same(classes, record[f"map_classes_{name}"])
    same(method.resize(unet[:, None], sam.shape[1:])[:, 0], record["map_classes_unet_teacher_s"])
    for mode, name in (("self", "alpha_self"), ("mutual", "alpha_mutual"), ("smc", "alpha")):
        method.smc.mode = mode
        near(method.smc(student, unet, sam, 1, method.resize), record[name], 1e-6)


def test_blends_and_pseudo_labels(record):
    method, small = official(record), (int(record["s"]),) * 2
    blends, _ = method.teach(batch_of(record).image[len(record["in_label"]) :], int(record["step"]))
    at_sam = synfoc.objective.resize_linear(blends["sam"], small)
    near(blends["unet"][:, 1:, ::2, ::2], record["map_blend_P"], 1e-6)
    near(at_sam[:, 1:], record["map_blend_s"], 1e-6)
    same(blends["unet"].argmax(1), record["map_pseudo_P"])
    same(at_sam.argmax(1), record["map_pseudo_s"])


def test_targets_and_masks_of_mixed_images(record, monkeypatch):
    calls, loss = [], synfoc.objective.masked_loss

    def watched(logits, target, mask=None, *arguments, **options):
        calls.append((target[:, 0], mask))
        return loss(logits, target, mask, *arguments, **options)

    monkeypatch.setattr(synfoc.objective, "masked_loss", watched)
    official(record)(batch_of(record), int(record["step"]))
    (unet, unet_mask), (sam, sam_mask) = (call for call in calls if call[1] is not None)
    for found, name in ((unet, "target_P"), (unet_mask, "mask_P"), (sam, "target_s"), (sam_mask, "mask_s")):
        same(found, record[f"map_{name}"])


def test_agreement(record):
    method = official(record)
    p, q = (record[f"in_logits_{name}_mixed"].softmax(1) for name in ("sam", "unet"))
    agree = (method.resize(p, q.shape[2:]).argmax(1) == q.argmax(1))[:, None]
    same(agree, record["map_agree_P"])
    same(method.resize(agree, p.shape[2:]), record["map_agree_s"])
