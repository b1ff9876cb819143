"""IERE: losses, pseudo-labels, squares, boxes, learning rates and measurements of the published code."""

import numpy as np
import pytest
import torch
from iere import ResNetUNet
from torch import nn
from torch.nn import functional as F

from common.losses import jaccard_multiclass, mixed_loss
from common.metrics import case_metrics
from common.sam.prompts import boxes_from_masks

from .records import GRADIENT, TERM, near, preset, read, same

TINY = {"backbone": "resnet18", "base_channels": 4, "sam_teacher": None}


@pytest.fixture(scope="module")
def official():
    return preset("iere_segmentation", "official", **TINY).get_parsed_content("objective")


def check(loss, record, name, logits):
    near(loss, record[f"{name}_loss"], TERM)
    loss.backward()
    near(logits.grad, record[f"{name}_grad"], GRADIENT)


@pytest.mark.parametrize("name", ["mix0", "mix1", "mix2"])
def test_loss_of_a_mixed_image(name, official):
    record = read("iere", "losses")
    repeat = int(record[f"{name}_repeat"])
    logits = nn.Parameter(record[f"{name}_in_logits"])
    outside, inside = (F.interpolate(record[f"{name}_in_{part}"][:, None].float(), scale_factor=repeat)[:, 0]
                       for part in ("outside", "inside"))  # fmt: skip
    corners = record[f"{name}_in_box"].view(1, 2, 2).expand(len(logits), -1, -1)
    box = official.box.apply(corners, outside.shape[1:])
    weights = tuple(float(record[f"{name}_weight_{part}"]) for part in ("outside", "inside"))
    fine = F.interpolate(logits, scale_factor=repeat)
    check(mixed_loss(fine, outside.long(), inside.long(), box, weights), record, name, logits)


@pytest.mark.parametrize("name", ["jaccard0", "jaccard1", "jaccard2", "jaccard3"])
def test_jaccard_loss(name):
    record = read("iere", "losses")
    logits = nn.Parameter(record[f"{name}_in_logits"])
    check(jaccard_multiclass(logits, record[f"{name}_in_label"]), record, name, logits)


@pytest.mark.parametrize("name", ["ir0", "ir1", "ir2"])
def test_internal_regularizer(name, official):
    record = read("iere", "losses")
    logits = nn.Parameter(record[f"{name}_in_logits"])
    check(official.ir(logits, torch.zeros(logits[:, 0].shape)), record, name, logits)


def test_pseudo_labels_and_their_largest_components():
    record = read("iere", "components")
    logits = record["in_logits"].float()
    raw = preset("iere_segmentation", "official", cc_filter="none", **TINY).get_parsed_content("objective")
    same(raw.pseudo_label(logits), record["map_raw"])
    assert (logits[2, 0] == logits[2, 1]).any()  # ties, which are foreground there
    found = preset("iere_segmentation", "official", **TINY).get_parsed_content("objective").pseudo_label(logits)
    alone = record["largest_count"] <= 1
    assert alone.sum() >= 6
    same(found[alone], record["map_largest"][alone])
    same(found.sum((1, 2)), record["map_largest"].long().sum((1, 2)))  # of components of one size, either may stay


@pytest.mark.parametrize("number", [0, 1])
def test_squares_are_of_the_published_size_at_the_published_places(number, official):
    record = {k[2:]: v for k, v in read("iere", "box_masks").items() if k.startswith(f"{number}_")}
    box = preset("iere_segmentation", "official", **{"bcp#mask_ratio": float(record["ratio"])}).get_parsed_content(
        "objective#box"
    )
    drawn = torch.stack([box.draw(1, (224, 224))[0] for _ in range(4000)])
    sides, last = drawn[:, 1] - drawn[:, 0], int(record["largest_first_corner"])
    assert (sides == int(record["side"])).all()
    assert drawn[:, 0].min() == 0 and drawn[:, 0].max() == last
    corners = record["boxes"].long().view(-1, 2, 2)
    assert (corners[:, 1] - corners[:, 0] == sides[0]).all() and corners[:, 0].max() <= last
    assert (box.apply(corners, (224, 224)).flatten(1).sum(1) == int(record["side"]) ** 2).all()


def test_boxes_of_masks():
    """The published ones are x, y, width, height, where a width of 0 counts as 1."""
    record = read("iere", "boxes")
    boxes, _ = boxes_from_masks(record["in_masks"] == 1)
    x0, y0, x1, y1 = boxes.unbind(1)
    published = torch.stack([x0, y0, (x1 - x0).clamp(min=1), (y1 - y0).clamp(min=1)], dim=1)
    same(published, record["boxes_xywh"])


def test_learning_rate_of_the_student_stage():
    record = read("iere", "warm_restarts")
    parser = preset("iere_segmentation", "official")
    assert float(record["T_mult"]) == 2 and parser["restart_period"] == int(record["T_0"])
    schedule = parser.get_parsed_content("optimizer#schedules#1")
    rates = [parser["learning_rate"] * schedule(step) for step in range(len(record["values"]))]
    near(rates, record["values"], 1e-12)
    assert parser["iterations"] - parser["pretrain"]["steps"] == len(rates)


def test_metrics_of_volumes():
    record, volumes = read("iere", "evaluation"), read("iere", "evaluation_volumes")
    found = []
    for case in range(int(record["cases"])):
        pred, label = (volumes[f"{case}_in_{name}"].numpy() for name in ("prediction", "label"))
        found += case_metrics(np.moveaxis(pred, 0, -1), np.moveaxis(label, 0, -1), 2)
    for metric in ("dice", "hd95", "asd"):
        values = [row[metric] for row in found]
        near(values, record[metric], 1e-9)
        near(np.mean(values), record[f"mean_{metric}"], 1e-9)


def test_padding_to_multiples_of_32():
    record, network = read("iere", "evaluation"), ResNetUNet(1, 2, "resnet18", base_channels=4).eval()
    for old, new in zip(record["pad_from"].tolist(), record["pad_to"].tolist()):
        x = torch.rand(1, 1, *old)
        with torch.no_grad():
            assert list(network.features(x).shape[2:]) == new and list(network(x).shape[2:]) == old
            padded = F.pad(x, [0, new[1] - old[1], 0, new[0] - old[0]])
            assert torch.equal(network(x), network(padded)[:, :, : old[0], : old[1]])
