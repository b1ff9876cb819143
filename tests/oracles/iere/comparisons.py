"""IERE's published functions, by what ``official.yaml`` builds.

The networks' answers and SAM's low-resolution logits are recorded. The published prompts are boxes x, y, w, h where SAM
reads x0, y0, x1, y1: a mistake, which ``published_boxes`` makes of the boxes that are prompted with here.
"""

import numpy as np
import torch
from iere import ResNetUNet
from iere.sam import SamOptions, SamTeacher
from iere.setup import OPTIONS
from torch import nn
from torch.nn import functional as F

from common.losses import jaccard_multiclass, mixed_loss
from common.metrics import case_metrics
from common.sam import BoxRefiner
from common.sam.prompts import boxes_from_masks
from common.sam.testing import tiny_sam
from common.transforms import Batch

from ..recorded import Record, gradient, preset
from ..recorded_2d import GRADIENT, TERM, TOTAL, part
from ..table import Source, Table

CALLS = ("teacher_labeled_a", "teacher_labeled_b", "teacher_unlabeled_a", "teacher_unlabeled_b", "student_in",
         "student_out")  # fmt: skip
WHOLE = {"_target_": "iere.RandomResizedCrop2D", "size": [224, 224], "area": [1.0, 1.0], "ratio": [1.0, 1.0],
         "flip": 0.0, "contrast_probability": 0.0}  # fmt: skip


def official(**options):
    return preset("iere", "official", **{"sam_teacher": None, "backbone": "resnet18", "base_channels": 4, **options})


def fine(coarse, repeat):
    """Maps of which each value stands for ``repeat`` x ``repeat`` pixels."""
    return coarse.repeat_interleave(int(repeat), dim=-1).repeat_interleave(int(repeat), dim=-2)


def published_boxes(boxes, side):
    """x, y, width and height of boxes x0, y0, x1, y1; a width of 0 counts as 1, everything as all of the ``side``."""
    x0, y0, x1, y1 = boxes.unbind(1)
    found = torch.stack([x0, y0, (x1 - x0).clamp(min=1), (y1 - y0).clamp(min=1)], dim=1)
    found[(boxes == torch.tensor([0.0, 0, side - 1, side - 1])).all(dim=1)] = torch.tensor([0.0, 0, side, side])
    return found


TABLE = Table(
    "iere",
    presets="official",
    sources={"IERE": Source("wruii/IERE", "417f037d7078d57357439d73b752d37bc9998890", "none")},
    repaired=(
        (
            "Boxes are handed to SAM as x, y, width, height where it reads two corners, and the box of an image "
            "without foreground ends one pixel beyond it; here they are two corners inside.",
            published_boxes,
        ),
        ("Images in 0..255 reach a SAM that expects them normalized; here they are normalized.", None),
        ("Validation takes random crops; here whole images.", None),
        ("Leading slices of a list count as labeled; here leading patients.", None),
        ("Lists keep every image that was ever loaded; here nothing does.", None),
    ),
    missing=(
        "the ResNet50 U-Net and SAM-Med2D with its adapters: the networks' answers are inputs",
        "places of the pasted square: numpy draws them there; sizes and the range of places are compared",
        "which of several components of one size is kept: its size is compared",
        "pretraining (pretrain_prostate_cp.py), tuning of SAM, which is another program, and augmentation",
    ),
)


class RecordedNetwork(ResNetUNet):
    """Answers pass after pass with the recorded logits, whichever head is asked."""

    def __init__(self, record):
        nn.Module.__init__(self)
        self.repeat, self.classes, self.head, self.seen = record["in_repeat"], 2, nn.Identity(), []
        self.answers = nn.ParameterList(nn.Parameter(record[f"in_logits_{name}"]) for name in CALLS)

    def features(self, x):
        self.seen.append(x)
        return fine(self.answers[len(self.seen) - 1], self.repeat)


class RecordedRefiner(BoxRefiner):
    """Knows SAM's low-resolution logits beforehand, and keeps the boxes that SAM would have been prompted with."""

    def embed(self, images):
        return images, self.frame(images.shape[2:])

    def answers(self, embeddings, boxes, index=None):
        self.boxes = boxes
        return self.recorded[:, 0], torch.zeros(len(boxes))


class WatchedTeacher(SamTeacher):
    def labels(self, views, pseudo, logits):
        self.pseudo, (self.refined, trust) = pseudo, super().labels(views, pseudo, logits)
        return self.refined, trust


def objective_of_step(record):
    config = official(augment=WHOLE, **{"bcp#alpha": float(record["in_alpha"]), "pretrain#steps": 0})
    method, sam = config.get_parsed_content("objective"), config["sam"]
    refiner = RecordedRefiner(tiny_sam(256), convention=sam["convention"], box_pad=sam["box_pad"])
    refiner.recorded = record["in_sam_low_res_logits"]
    method.sam = WatchedTeacher(refiner, options=SamOptions(**{name: sam[name] for name in OPTIONS}))
    method.network, method.teacher.head = RecordedNetwork(record), nn.Identity()
    box, corners = method.box, record["in_box"].view(1, 2, 2).expand(2, -1, -1)
    method.box = lambda image: box.apply(corners, image.shape[2:])
    return method


@TABLE.of(
    "train_sam_prostate_cp.py: training_step",
    "train_sam_prostate_cp.py: training_sam",
    "train_sam_prostate_cp.py: get_ra_loss",
    "utils/utils.py: mix_loss",
    "utils/utils.py: context_mask",
    "utils/utils.py: mask2box",
    "utils/sampler.py: get_cut_mask",
    "segmentation_models_pytorch/losses/jaccard.py: JaccardLoss",
    note="one iteration, the networks and SAM answer what was recorded; each number stands for several pixels",
)
def step(record: Record):
    method = objective_of_step(record)
    image, label = (fine(record[f"in_{name}"], record["in_repeat"])[:, None] for name in ("image", "label"))
    terms = method(Batch(image.float(), label, (0,) * 8), 1)
    yield "supervised", record.difference("supervised", terms["supervised"]), TERM
    yield "ir", record.difference("ir", terms["ir"]), TERM
    for name, recorded in (("bcp", "mix"), ("er", "er")):
        both = record[f"out_{recorded}_in"] + record[f"out_{recorded}_out"]
        yield name, float((terms[name].detach() - both).abs()), 2 * TERM
    weights = [method.weight(term, 1) for term in ("supervised", "bcp", "ir", "er")]
    yield "weights", max(abs(a - float(b)) for a, b in zip(weights, record["in_weights"])), 0
    total = method.total(terms, 1)
    yield "total", record.difference("total", total), TOTAL
    for name, grad in zip(CALLS, gradient(total, *method.network.answers), strict=True):
        if "unlabeled" in name:
            assert not grad.any()  # pseudo-labels are constants
        else:
            yield f"gradient {name}", record.difference(f"grad_{name}", grad), GRADIENT
    boxes = published_boxes(method.sam.refiner.boxes, 256)
    found = {"pseudo": method.sam.pseudo, "sam_label": method.sam.refined, "sam_boxes_xywh_256": boxes}
    found |= {f"mixed_{n}": x.round()[:, 0] for n, x in zip(("in", "out"), method.network.seen[4:])}
    for name, value in found.items():
        yield name, record.difference(name, value), 0


@TABLE.of(
    "utils/utils.py: mix_loss",
    "segmentation_models_pytorch/losses/jaccard.py: JaccardLoss",
    "train_sam_prostate_cp.py: get_ra_loss",
    note="with and without a class that the labels lack, and a constant image",
)
def losses(record: Record):
    method = official().get_parsed_content("objective")
    for name in ("mix0", "mix1", "mix2", "jaccard0", "jaccard1", "jaccard2", "jaccard3", "ir0", "ir1", "ir2"):
        given = part(record, f"{name}_")
        logits = given["logits"].requires_grad_()
        if name.startswith("mix"):
            outside, inside = (fine(given[key], given["repeat"]).long() for key in ("outside", "inside"))
            corners = given["box"].view(1, 2, 2).expand(len(logits), -1, -1)
            box = method.box.apply(corners, outside.shape[1:])
            weights = float(given["weight_outside"]), float(given["weight_inside"])
            loss = mixed_loss(fine(logits, given["repeat"]), outside, inside, box, weights)
        elif name.startswith("jaccard"):
            loss = jaccard_multiclass(logits, given["label"])
        else:
            loss = method.ir(logits, torch.zeros(logits[:, 0].shape))
        yield name, record.difference(f"{name}_loss", loss), TERM
        yield f"gradient {name}", record.difference(f"{name}_grad", *gradient(loss, logits)), GRADIENT


@TABLE.of(
    "utils/sampler.py: get_cut_mask",
    note="probabilities of exactly a half, components of one size",
)
def components(record: Record):
    logits = record["in_logits"].float()
    assert (logits[:, 0] == logits[:, 1]).any()  # equal probabilities, which are foreground
    raw, largest = (official(cc_filter=kind).get_parsed_content("objective").pseudo_label(logits)
                    for kind in ("none", "largest"))  # fmt: skip
    yield "raw", record.difference("raw", raw), 0
    alone = record["out_largest_count"] <= 1  # of several components of one size, either may stay
    differ = (largest != record["out_largest"]).flatten(1).any(dim=1)
    yield "largest", float((differ & alone).sum()), 0
    yield "size of the largest", float((largest.sum((1, 2)) - record["out_largest"].long().sum((1, 2))).abs().max()), 0


@TABLE.of(
    "utils/utils.py: context_mask",
    note="sizes and places of 40 draws for each ratio",
)
def squares(record: Record):
    """The recorded places were drawn by another generator: sizes and the range of places are compared."""
    for number in map(str, range(int(record["in_ratios"]))):
        options = {"bcp#mask_ratio": float(record.arrays[f"in_{number}_ratio"])}
        box = official(**options).get_parsed_content("objective#box")
        drawn = torch.cat([box.draw(1, (224, 224)) for _ in range(4000)])
        sides, last = drawn[:, 1] - drawn[:, 0], drawn[:, 0].max()
        corners = record[f"in_{number}_boxes"].long().view(-1, 2, 2)
        yield "side", float((sides - record[f"out_{number}_side"]).abs().max()), 0
        yield "published side", float((corners[:, 1] - corners[:, 0] - sides[0]).abs().max()), 0
        yield "last place", record.difference(f"{number}_largest_first_corner", last), 0
        area = box.apply(corners, (224, 224)).flatten(1).sum(1) - sides[0].prod()
        yield "area", float(area.abs().max()), 0


@TABLE.of(
    "utils/utils.py: mask2box",
)
def boxes(record: Record):
    found, _ = boxes_from_masks(record["in_masks"] == 1)
    yield "boxes", record.difference("boxes_xywh", published_boxes(found, -1)), 0


@TABLE.of(
    "config_sam_prostate_cp.yaml: CosineAnnealingWarmRestarts",
)
def schedules(record: Record):
    config = official()
    schedule, values = config.get_parsed_content("optimizer#schedules#1"), record["out_values"]
    assert (config["restart_period"], schedule.growth) == (int(record["in_T_0"]), int(record["in_T_mult"]))
    assert config["iterations"] - config["pretrain"]["steps"] == len(values)
    yield (
        "rates",
        record.difference("values", [config["learning_rate"] * schedule(n) for n in range(len(values))]),
        1e-12,
    )


@TABLE.of(
    "inference_prostate.py: out_of_domain_prediction",
    "utils/inference_utils.py: pad",
    note="volumes, and padding of slices",
)
def evaluation(record: Record):
    rows = []
    for case in range(int(record["in_cases"])):
        volumes = (record[f"in_{case}_{name}"].numpy() for name in ("prediction", "label"))
        rows += case_metrics(*(np.moveaxis(volume, 0, -1) for volume in volumes), 2)
    for metric in ("dice", "hd95", "asd"):
        values = [row[metric] for row in rows]
        yield metric, record.difference(metric, values), 1e-9
        yield f"mean {metric}", record.difference(f"mean_{metric}", float(np.mean(values))), 1e-9
    network = ResNetUNet(1, 2, "resnet18", base_channels=4).eval()
    sizes = []
    for extents, wanted in zip(record["in_pad_from"].tolist(), record["out_pad_to"].int().tolist()):
        x = torch.rand(1, 1, *extents)
        with torch.no_grad():
            sizes.append(list(network.features(x).shape[2:]))
            padded = network(F.pad(x, [0, wanted[1] - extents[1], 0, wanted[0] - extents[0]]))
            assert torch.equal(network(x), padded[:, :, : extents[0], : extents[1]])
    yield "padding", record.difference("pad_to", torch.tensor(sizes)), 0
