"""IERE: whole steps of the published code, by the objective that official.yaml builds.

The networks' answers and SAM's low-resolution logits are recorded. The published prompts are boxes x, y, w, h where SAM
reads x0, y0, x1, y1: a mistake, which four lines here make of the boxes that this repository prompts with.
"""

import pytest
import torch
from iere import ResNetUNet
from iere.sam import SamOptions, SamTeacher
from iere.setup import OPTIONS
from torch import nn

from common.sam import BoxRefiner
from common.sam.testing import tiny_sam
from common.transforms import Batch

from .records import GRADIENT, TERM, TOTAL, near, preset, read, same

CALLS = ("teacher_labeled_a", "teacher_labeled_b", "teacher_unlabeled_a", "teacher_unlabeled_b", "student_in",
         "student_out")  # fmt: skip


def fine(coarse, repeat):
    """Maps of which each value stood for ``repeat`` x ``repeat`` pixels."""
    return coarse.repeat_interleave(repeat, dim=-1).repeat_interleave(repeat, dim=-2)


class RecordedNetwork(ResNetUNet):
    """Answers pass after pass with the recorded logits, whichever head is asked."""

    def __init__(self, record):
        nn.Module.__init__(self)
        self.repeat, self.classes, self.head, self.seen = int(record["repeat"]), 2, nn.Identity(), []
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


@pytest.fixture(scope="module", params=["step_a", "step_b"])
def step(request):
    """A record, the objective after its step, and the terms."""
    record = read("iere", request.param)
    whole = {"_target_": "iere.RandomResizedCrop2D", "size": [224, 224], "area": [1.0, 1.0],
             "ratio": [1.0, 1.0], "flip": 0.0, "contrast_probability": 0.0}  # fmt: skip
    options = {"bcp#alpha": float(record["alpha"]), "pretrain#steps": 0, "backbone": "resnet18", "base_channels": 4}
    parser = preset("iere_segmentation", "official", augment=whole, sam_teacher=None, **options)
    method = parser.get_parsed_content("objective")
    sam = parser["sam"]
    refiner = RecordedRefiner(tiny_sam(256), convention=sam["convention"], box_pad=sam["box_pad"])
    refiner.recorded = record["in_sam_low_res_logits"]
    method.sam = WatchedTeacher(refiner, options=SamOptions(**{name: sam[name] for name in OPTIONS}))
    method.network, method.teacher.head = RecordedNetwork(record), nn.Identity()
    box, corners = method.box, record["in_box"].view(1, 2, 2).expand(2, -1, -1)
    method.box = lambda image: box.apply(corners, image.shape[2:])
    repeat = int(record["repeat"])
    image, label = fine(record["in_image"], repeat)[:, None].float(), fine(record["in_label"], repeat)[:, None]
    return record, method, method(Batch(image, label, (0,) * 8), 1)


def test_terms_total_and_gradients(step):
    record, method, terms = step
    near(terms["supervised"], record["out_supervised"], TERM)
    near(terms["bcp"], record["out_mix_in"] + record["out_mix_out"], TERM)
    near(terms["ir"], record["out_ir"], TERM)
    near(terms["er"], record["out_er_in"] + record["out_er_out"], TERM)
    weights = [method.weight(term, 1) for term in ("supervised", "bcp", "ir", "er")]
    assert weights == record["weights"].tolist()
    total = method.total(terms, 1)
    near(total, record["out_total"], TOTAL)
    total.backward()
    for name, answer in zip(CALLS, method.network.answers):
        near(answer.grad if answer.grad is not None else torch.zeros(1), record.get(f"grad_{name}", 0.0), GRADIENT)


def test_pseudo_labels_and_mixed_images(step):
    record, method, _ = step
    same(method.sam.pseudo, record["map_pseudo"])
    for seen, name in zip(method.network.seen[4:], ("in", "out")):
        same(seen.round()[:, 0], record[f"map_mixed_{name}"])


def test_labels_of_sam(step):
    record, method, _ = step
    same(method.sam.refined, record["map_sam_label"])


def test_boxes_are_the_published_ones_but_for_their_mistake(step):
    record, method, _ = step
    x0, y0, x1, y1 = method.sam.refiner.boxes.unbind(1)
    published = torch.stack([x0, y0, (x1 - x0).clamp(min=1), (y1 - y0).clamp(min=1)], dim=1)
    everything = (method.sam.refiner.boxes == torch.tensor([0.0, 0.0, 255.0, 255.0])).all(dim=1)
    published[everything] = torch.tensor([0.0, 0.0, 256.0, 256.0])
    same(published, record["sam_boxes_xywh_256"])
