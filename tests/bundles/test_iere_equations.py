"""The losses of IERE (Pattern Recognition 179, 2026) in the preset ``paper``, against slow forms of the print."""

import math
from itertools import product

import pytest
import torch
from iere import ResNetUNet
from iere.sam import SamTeacher
from torch import nn

from common.sam import BoxRefiner
from common.sam.testing import tiny_sam
from common.sam.tuning import box_loss
from common.transforms import Batch
from tests.oracles.recorded import preset

SIDE, H, ALPHA, LAMBDA = 32, 2, 0.5, 0.5
PIXELS = list(product(range(SIDE), repeat=2))
PASSES = (
    "teacher_la",
    "teacher_lb",
    "teacher_ua",
    "teacher_ub",
    "student_in",
    "student_out",
    "student_ua",
    "student_ub",
)


class Answers(ResNetUNet):
    """A network whose passes give the logits of ``PASSES`` one after the other."""

    def __init__(self):
        nn.Module.__init__(self)
        self.classes, self.head, self.seen = 2, nn.Identity(), []
        self.z = {name: 1.5 * torch.randn(H, 2, SIDE, SIDE) for name in PASSES}

    def features(self, x):
        self.seen.append(x)
        return self.z[PASSES[len(self.seen) - 1]]


class Labels(nn.Module):
    """In the place of SAM: given labels, all trusted."""

    def __init__(self):
        super().__init__()
        self.f = torch.randint(0, 2, (2 * H, SIDE, SIDE))

    def learns(self, step, start):
        return False

    def measure(self, views, logits, truth, label_of):
        """``use: always`` learns nothing of them."""

    def labels(self, views, pseudo, logits):
        self.pseudo = pseudo
        return self.f, torch.ones(2 * H)


def softmax(z, n, y, x):
    powers = [math.exp(float(v)) for v in z[n, :, y, x]]
    return [power / sum(powers) for power in powers]


class Step:
    """A step of the student stage and what went into it."""

    def __init__(self):
        crop = {"_target_": "iere.RandomResizedCrop2D", "size": [SIDE, SIDE], "area": [1.0, 1.0], "ratio": [1.0, 1.0],
                "flip": 0.0, "contrast_probability": 0.0}  # fmt: skip
        config = preset(
            "iere", "paper", augment=crop, sam_teacher=None, backbone="resnet18", base_channels=4, cc_filter="none",
            iterations=4, epoch_length=1, **{"pretrain#steps": 0},
        )  # fmt: skip
        self.method = config.get_parsed_content("objective")
        self.method.network, self.method.teacher.head, self.method.sam = Answers(), nn.Identity(), Labels()
        self.z = self.method.network.z
        self.box = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.bool)
        self.box[..., 5:26, 3:24] = True
        self.method.box = lambda image: self.box.expand(len(image), -1, -1, -1)
        self.y = torch.randint(0, 2, (2 * H, 1, SIDE, SIDE))
        image = torch.rand(4 * H, 1, SIDE, SIDE)
        self.x = image.chunk(4)
        self.terms = self.method(Batch(image, self.y.to(torch.uint8), (0,) * 4 * H), 1)
        self.q = torch.cat([self.z["teacher_ua"], self.z["teacher_ub"]]).argmax(1)

    def inside(self, y, x):
        return bool(self.box[0, 0, y, x])

    def part(self, name, label, inside):
        """Dice and cross-entropy of one of both regions of a mixture."""
        where, dice, entropies = [p for p in PIXELS if self.inside(*p) == inside], 0.0, 0.0
        for n in range(H):
            p = {place: softmax(self.z[name], n, *place) for place in where}
            for k in range(2):
                g = {place: float(label[n][place] == k) for place in where}
                both = sum(p[place][k] * g[place] for place in where)
                dice += 1 - (2 * both + 1e-5) / (sum(p[place][k] + g[place] for place in where) + 1e-5)
            entropies -= sum(math.log(p[place][int(label[n][place])]) for place in where)
        return dice / (2 * H) + entropies / (len(where) * H)

    def mixtures(self, other):
        """The copy-paste loss of both mixtures with labels of ``other`` for what is not labeled."""
        y, (o_a, o_b) = self.y[:, 0], other.chunk(2)
        first = self.part("student_in", y[:H], False) + ALPHA * self.part("student_in", o_a, True)
        second = ALPHA * self.part("student_out", o_b, False) + self.part("student_out", y[H:], True)
        return (first + second) / 2

    def mixed_label(self, name, n, y, x):
        labels, pseudo = (self.y[:, 0].chunk(2), self.q.chunk(2))
        inside = self.inside(y, x)
        if name == "in":
            return (pseudo[0] if inside else labels[0])[n, y, x]
        return (labels[1] if inside else pseudo[1])[n, y, x]


@pytest.fixture(scope="module")
def step():
    torch.manual_seed(4)
    return Step()


def jaccard(z, label, count):
    total = 0.0
    for k in range(2):
        overlap = union = present = 0.0
        for n, place in product(range(count), PIXELS):
            p, g = softmax(z, n, *place)[k], float(label[n][place] == k)
            overlap, union, present = overlap + p * g, union + p + g - p * g, present + g
        total += (1 - overlap / max(union, 1e-7)) * (present > 0)
    return total / 2


def test_labeled_images(step):
    """IERE's loss of the teacher: Jaccard of both halves of the labeled images."""
    y = step.y[:, 0]
    expected = jaccard(step.z["teacher_la"], y[:H], H) + jaccard(step.z["teacher_lb"], y[H:], H)
    assert step.terms["supervised"].item() == pytest.approx(expected, abs=1e-5)


def test_mixtures(step):
    """IERE's mixtures: an unlabeled square in a labeled image, and the other way round."""
    l_a, l_b, u_a, u_b = step.x
    seen = step.method.network.seen
    for y, x in PIXELS[::7]:
        inside = step.inside(y, x)
        for n in range(H):
            assert seen[4][n, 0, y, x].item() == pytest.approx((u_a if inside else l_a)[n, 0, y, x].item(), abs=1e-5)
            assert seen[5][n, 0, y, x].item() == pytest.approx((l_b if inside else u_b)[n, 0, y, x].item(), abs=1e-5)


def test_copy_paste_loss(step):
    """IERE's copy-paste loss: Dice and cross-entropy of each region, half the weight for pseudo-labels."""
    assert torch.equal(step.q, step.method.sam.pseudo)
    assert step.terms["bcp"].item() == pytest.approx(step.mixtures(step.q), abs=1e-5)


def test_internal_regularizer(step):
    """IERE eq. 7: softmax variance, counted in the background and taken off in the foreground of the mixed label."""
    expected = 0.0
    for name in ("in", "out"):
        for n, (y, x) in product(range(H), PIXELS):
            p = softmax(step.z[f"student_{name}"], n, y, x)
            variance = sum((value - 1 / 2) ** 2 for value in p) / 2
            foreground = int(step.mixed_label(name, n, y, x))
            expected += ((1 - foreground) * variance - foreground * variance) / (H * len(PIXELS))
    assert step.terms["ir"].item() == pytest.approx(expected, abs=1e-6)


def test_external_regularizer(step):
    """IERE's external regularizer: the copy-paste loss of the same predictions with SAM's labels."""
    assert step.terms["er"].item() == pytest.approx(step.mixtures(step.method.sam.f), abs=1e-5)


def test_unlabeled_images(step):
    """IERE's loss of whole unlabeled images: the student's cross-entropy with the teacher's labels."""
    z, expected = torch.cat([step.z["student_ua"], step.z["student_ub"]]), 0.0
    for n, place in product(range(2 * H), PIXELS):
        expected -= math.log(softmax(z, n, *place)[int(step.q[n][place])])
    assert step.terms["unlabeled"].item() == pytest.approx(expected / (2 * H * len(PIXELS)), abs=1e-5)


def test_total(step):
    """IERE's total: both regularizers with 0.5 from the first iteration on, and so the unlabeled images."""
    terms = {name: value.item() for name, value in step.terms.items()}
    expected = terms["supervised"] + terms["bcp"] + LAMBDA * (terms["ir"] + terms["er"]) + 0.5 * terms["unlabeled"]
    assert step.method.total(step.terms, 1).item() == pytest.approx(expected, abs=1e-5)


def test_pretraining():
    """IERE's pretraining: Jaccard of both heads on one mixture of two labeled halves."""
    torch.manual_seed(5)
    config = preset("iere", "paper", sam_teacher=None, backbone="resnet18", base_channels=4, patch_size=[SIDE, SIDE])
    method = config.get_parsed_content("objective")
    image, label = torch.rand(2 * H, 1, SIDE, SIDE), torch.randint(0, 2, (2 * H, SIDE, SIDE))
    box = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.bool)
    box[..., 4:20, 8:30] = True
    method.box = lambda image: box.expand(H, -1, -1, -1)
    seen = []
    method.network.head.register_forward_hook(lambda module, x, z: seen.append(z.detach()))
    method.teacher.head.register_forward_hook(lambda module, x, z: seen.append(z.detach()))
    loss = method.pretrain(image, label)["supervised"].item()
    mixed = torch.where(box[0], label[H:], label[:H])
    assert len(seen) == 2 and loss == pytest.approx(sum(jaccard(z, mixed, H) for z in seen), abs=1e-5)


def test_loss_of_sam():
    """IERE's loss of SAM: soft Jaccard of the mask that answers the box of a labeled object."""
    torch.manual_seed(6)
    refiner = BoxRefiner(tiny_sam(64), box_pad=0.0)
    teacher = SamTeacher(refiner)
    image, label = torch.rand(1, 1, 64, 64), torch.zeros(1, 64, 64, dtype=torch.long)
    label[0, 20:45, 10:50] = 1
    embeddings, frame = refiner.embed(image)
    torch.manual_seed(7)
    loss = box_loss(teacher.refiner, embeddings, frame, label).item()
    torch.manual_seed(7)
    boxes, _ = refiner.prompts(label, frame, 20 / 1024)
    logits = frame.masks_to_image(refiner.masks(embeddings, boxes.flatten(0, 2))[:, None])[0, 0]
    overlap = union = 0.0
    for y, x in product(range(64), repeat=2):
        p, g = 1 / (1 + math.exp(-float(logits[y, x]))), float(label[0, y, x])
        overlap, union = overlap + p * g, union + p + g - p * g
    assert loss == pytest.approx(1 - overlap / union, abs=1e-4)
