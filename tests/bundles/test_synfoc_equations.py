"""Equations 3 to 12 of SynFoC (CVPR 2025) in the preset ``paper``, against slow forms of the print."""

import math
from itertools import product

import pytest
import torch
from torch import nn

from common.networks import make_teacher
from common.transforms import Batch
from tests.oracles.recorded import preset
from tests.oracles.recorded_2d import Recorded

CLASSES, SIDE, N, TAU, T = 3, 6, 2, 0.6, 20
PIXELS = list(product(range(SIDE), repeat=2))


def softmax(logits, n, y, x):
    powers = [math.exp(float(logits[n, k, y, x])) for k in range(CLASSES)]
    return [power / sum(powers) for power in powers]


def argmax(values):
    return max(range(CLASSES), key=values.__getitem__)


def overlap(a, b, k):
    """Smoothed Dice of class k in two lists of classes, 1 for two empty ones."""
    size = sum(p == k for p in a) + sum(p == k for p in b)
    return (2 * sum(p == q == k for p, q in zip(a, b)) + 1) / (size + 1.001) if size else 1.0


class Step:
    """A step of the objective on random logits, and what it returns; P = s, so that no map is resized."""

    def __init__(self):
        names = ("unet_teacher", "sam_teacher", "unet_weak", "unet_labeled", "unet_mixed", "sam_labeled", "sam_mixed")
        self.z = {name: 2 * torch.randn(N, CLASSES, SIDE, SIDE) for name in names}
        agree = torch.rand(N, 1, SIDE, SIDE) < 0.6
        self.z["sam_mixed"] = torch.where(agree, self.z["unet_mixed"] + 0.1, self.z["sam_mixed"])
        config = preset(
            "synfoc", "paper", num_classes=CLASSES, patch_size=[SIDE, SIDE], iterations=T, epoch_length=1, tau=TAU,
            sizes={"unet": [SIDE, SIDE], "sam": [4 * SIDE, 4 * SIDE]}, base_channels=2, **{"sam#kind": "none"},
        )  # fmt: skip
        self.method = config.get_parsed_content("objective")
        students = {"unet": ("unet_weak", "unet_labeled", "unet_mixed"), "sam": ("sam_labeled", "sam_mixed")}
        self.method.students = nn.ModuleDict(
            {name: Recorded(*(self.z[key] for key in keys)) for name, keys in students.items()}
        )
        self.method.teachers = make_teacher(
            nn.ModuleDict({name: Recorded(self.z[f"{name}_teacher"]) for name in students})
        )
        self.box = torch.zeros(N, 1, SIDE, SIDE, dtype=torch.bool)
        self.box[0, 0, 1:4, 2:5] = self.box[1, 0, 0:2, 0:3] = True
        self.label = torch.randint(0, CLASSES, (N, 1, SIDE, SIDE))
        self.method.strong, self.method.box = (lambda image: image), (lambda reference: self.box)
        large = self.label.repeat_interleave(4, -1).repeat_interleave(4, -2)
        images = torch.rand(2 * N, 1, 4 * SIDE, 4 * SIDE)
        self.batch = Batch(images, large.to(torch.uint8))
        self.terms = self.method(self.batch, 8)

    def classes(self, name, n):
        return [argmax(softmax(self.z[name], n, y, x)) for y, x in PIXELS]

    def alphas(self):
        """Equations 3 to 5."""
        found = []
        for n in range(N):
            student, unet, sam = (self.classes(name, n) for name in ("unet_weak", "unet_teacher", "sam_teacher"))
            foreground = range(1, CLASSES)
            own = sum(overlap(student, unet, k) for k in foreground) / len(foreground)
            mutual = sum(overlap(unet, sam, k) for k in foreground) / len(foreground)
            found.append(own * mutual)
        return found

    def blend(self, n, y, x):
        """Equation 6."""
        alpha = self.alphas()[n]
        unet, sam = (softmax(self.z[f"{name}_teacher"], n, y, x) for name in ("unet", "sam"))
        return [alpha * p + (1 - alpha) * q for p, q in zip(unet, sam)]

    def target(self, n, y, x):
        """Class and weight of a pixel of the mixed image: the label in the rectangle, else the confident blend."""
        if self.box[n, 0, y, x]:
            return int(self.label[n, 0, y, x]), 1.0
        blend = self.blend(n, y, x)
        return argmax(blend), float(max(blend) >= TAU)

    def loss(self, name, target):
        """Cross-entropy (equation 11) and Dice (equation 12) of logits under a weight of each pixel."""
        where = [(n, y, x, *target(n, y, x)) for n in range(N) for y, x in PIXELS]
        p = {(n, y, x): softmax(self.z[name], n, y, x) for n, y, x, *_ in where}
        entropies = sum(-w * math.log(p[n, y, x][k]) for n, y, x, k, w in where) / len(where)
        dice = 0.0
        for c in range(CLASSES):
            both = sum(w * p[n, y, x][c] * (k == c) for n, y, x, k, w in where)
            size = sum(w * (p[n, y, x][c] ** 2 + (k == c)) for n, y, x, k, w in where)
            dice += 1 - (2 * both + 1e-5) / (size + 1e-5)
        return entropies + dice / CLASSES


@pytest.fixture(scope="module")
def step():
    torch.manual_seed(2)
    return Step()


def test_self_mutual_confidence(step):
    """SynFoC eqs. 3, 4 and 5: the U-Net's agreement with its teacher, times that of both teachers."""
    assert float(step.terms["alpha"]) == pytest.approx(sum(step.alphas()) / N, abs=1e-6)
    assert len({round(a, 6) for a in step.alphas()}) == N


def test_ensemble(step):
    """SynFoC eq. 6: both teachers' probabilities, blended by alpha."""
    for network in (*step.method.teachers.values(), *step.method.students.values()):
        network.seen.clear()
    blends, _ = step.method.teach(step.batch.image[N:], 8)
    for n, (y, x) in product(range(N), PIXELS[::5]):
        assert blends["unet"][n, :, y, x].tolist() == pytest.approx(step.blend(n, y, x), abs=1e-5)


@pytest.mark.parametrize("name", ["unet", "sam"])
def test_supervised_loss(step, name):
    """SynFoC eqs. 11 and 12 without a mask: labeled images."""
    expected = step.loss(f"{name}_labeled", lambda n, y, x: (int(step.label[n, 0, y, x]), 1.0))
    assert step.terms[f"supervised_{name}"].item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["unet", "sam"])
def test_loss_of_mixed_images(step, name):
    """SynFoC eqs. 7, 11 and 12: confident pseudo-labels outside the rectangle, labels inside it."""
    weights = [step.target(n, y, x)[1] for n in range(N) for y, x in PIXELS]
    assert 0.2 < sum(weights) / len(weights) < 0.95
    assert step.terms[f"pseudo_{name}"].item() == pytest.approx(step.loss(f"{name}_mixed", step.target), abs=1e-5)


def test_consensus_and_divergence(step):
    """SynFoC eqs. 8, 9 and 10: certain where the students agree, alike where not; 10 with the sign of its text."""
    consensus = divergence = agreed = 0.0
    for n, (y, x) in product(range(N), PIXELS):
        p, q = softmax(step.z["sam_mixed"], n, y, x), softmax(step.z["unet_mixed"], n, y, x)
        agree = argmax(p) == argmax(q)
        agreed += agree
        consensus += agree * sum(-a * math.log(a) for a in (*p, *q))
        divergence += (not agree) * sum((a - b) ** 2 for a, b in zip(p, q))
    count = N * len(PIXELS)
    assert 0.2 < agreed / count < 0.95
    assert step.terms["agreement"].item() == pytest.approx(agreed / count)
    assert step.terms["consensus"].item() == pytest.approx(consensus / (count * CLASSES), abs=1e-6)
    assert step.terms["divergence"].item() == pytest.approx(divergence / (count * CLASSES), abs=1e-6)


@pytest.mark.parametrize("iteration", [1, 8, 11, 20, 21, 30])
def test_total_loss_and_its_ramp(step, iteration):
    """SynFoC's total: supervised terms, and lambda(t) times the four others; the exponent as printed, no square."""
    ramp = math.exp(-5 * (1 - min((iteration - 1) / T, 1)))
    terms = {name: step.terms[name].item() for name in step.method.TERMS}
    supervised = terms["supervised_sam"] + terms["supervised_unet"]
    others = sum(terms[name] for name in ("pseudo_sam", "pseudo_unet", "consensus", "divergence"))
    assert step.method.total(step.terms, iteration).item() == pytest.approx(supervised + ramp * others, abs=1e-5)


def test_teachers_follow():
    """SynFoC's teachers: moving averages with 0.99, of LoRA, decoder and U-Net alone."""
    config = preset("synfoc", "paper")
    handlers = [h for h in config["train"]["handlers"] if h["_target_"].endswith("EMAHandler")]
    assert config["ema_decay"] == 0.99 and len(handlers) == 1 and config["sam"]["train_prompt"] is False
