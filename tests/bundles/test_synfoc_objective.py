"""SynFoC: a step on two networks of different input size."""

import math

import pytest
import torch
from synfoc import (
    ConsensusDivergence,
    RandomIntensity,
    RandomRectangle,
    SelfMutualConfidence,
    SynFoCObjective,
    SynFoCSettings,
    make_students,
    make_unet,
    masked_loss,
)
from torch import nn
from torch.nn import functional as F

from common.errors import InputError
from common.networks import make_teacher
from common.transforms import Batch

ONE = [[1]]


class Foundation(nn.Module):
    """A network of its own input size with logits at a quarter of it, as a SAM's."""

    def __init__(self, channels=1, classes=2):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(channels, 8, 4, stride=4), nn.ReLU(), nn.Conv2d(8, classes, 1))

    def forward(self, x):
        assert x.shape[2:] == (64, 64)
        return self.net(x)


SIZES = {"unet": (32, 32), "sam": (64, 64)}


def objective(networks=("unet", "sam"), smc="smc", cdcr="cdcr", box=True, classes=2, **settings):
    parts = [[k] for k in range(1, classes)]
    makers = {"unet": lambda: make_unet(1, classes, 4), "sam": lambda: Foundation(1, classes)}
    students = nn.ModuleDict({name: makers[name]() for name in networks})
    return SynFoCObjective(
        students,
        make_teacher(students),
        SIZES,
        SelfMutualConfidence(parts, smc, iterations=10),
        ConsensusDivergence(cdcr),
        RandomIntensity(),
        RandomRectangle() if box else None,
        settings=SynFoCSettings(**settings),
    ).train()


def batch(n=2, size=64, classes=2):
    return Batch(torch.rand(2 * n, 1, size, size), torch.randint(0, classes, (n, 1, size, size), dtype=torch.uint8))


@pytest.mark.parametrize("smc", ["smc", "self", "mutual", "constant", "linear", "cps"])
@pytest.mark.parametrize("classes", [2, 4])
def test_each_term_alone_trains_the_networks_it_should(smc, classes):
    method = objective(smc=smc, classes=classes)
    terms = method(batch(classes=classes), 3)
    for term in SynFoCObjective.TERMS:
        trained = [name for name in ("sam", "unet") if term.endswith(name)] or ["sam", "unet"]
        for name, student in method.students.items():
            grads = torch.autograd.grad(terms[term], list(student.parameters()), retain_graph=True, allow_unused=True)
            size = sum(g.abs().sum() for g in grads if g is not None)
            assert (size > 0) == (name in trained) and math.isfinite(size)
    assert not any(p.requires_grad for p in method.teachers.parameters())
    assert ("alpha" in terms) == (smc != "cps")


@pytest.mark.parametrize("name", ["unet", "sam"])
def test_a_network_may_learn_from_its_own_teacher_alone(name):
    terms = objective(networks=[name])(batch(), 1)
    assert set(terms) == {f"{kind}_{name}" for kind in ("supervised", "pseudo", "confident", "pseudo_foreground")}


def test_without_unlabeled_images_only_the_supervised_terms_are_left():
    images = batch()
    assert set(objective()(Batch(images.image[:2], images.label), 1)) == {"supervised_unet", "supervised_sam"}


def test_streams_of_different_size_are_refused():
    images = batch(n=2)
    with pytest.raises(InputError, match="labeled_batch=1 must equal unlabeled_batch=3"):
        objective()(Batch(images.image, images.label[:1]), 1)


class Fixed(nn.Module):
    """A network that answers with given logits, whatever it sees, and remembers that."""

    def __init__(self, logits):
        super().__init__()
        self.logits, self.seen = nn.Parameter(logits), []

    def forward(self, x):
        self.seen.append(x.detach())
        return self.logits.repeat(len(x) // len(self.logits), 1, 1, 1)


def fixed_objective(unet, sam, box, **options):
    students = nn.ModuleDict({"unet": Fixed(unet), "sam": Fixed(sam)})
    method = objective(**options)
    method.students, method.teachers, method.strong = students, make_teacher(students), lambda image: image
    method.box = (lambda reference: box) if box is not None else None
    return method


def half_box(size=32):
    box = torch.zeros(2, 1, size, size, dtype=torch.bool)
    box[..., : size // 2] = True
    return box


def test_the_rectangle_is_the_same_at_every_size():
    method = fixed_objective(torch.zeros(2, 2, 32, 32), torch.zeros(2, 2, 16, 16), half_box())
    image = torch.cat([torch.ones(2, 1, 64, 64), torch.zeros(2, 1, 64, 64)])
    method(Batch(image, torch.ones(2, 1, 64, 64, dtype=torch.uint8)), 1)
    for name in ("unet", "sam"):
        mixed = method.students[name].seen[-1][-2:]
        side = SIZES[name][0]
        assert (mixed[..., : side // 2] == 1).all() and (mixed[..., side // 2 :] == 0).all()


def test_inside_the_box_labels_count_outside_only_confident_pseudo_labels():
    doubt = torch.zeros(2, 2, 32, 32)  # no teacher is confident
    doubt[:, 1] = 0.1
    method = fixed_objective(doubt, doubt[..., ::2, ::2].clone(), half_box())
    labels = torch.ones(2, 1, 64, 64, dtype=torch.uint8)
    terms = method(Batch(torch.rand(4, 1, 64, 64), labels), 1)
    assert terms["confident_unet"] == terms["confident_sam"] == 0
    assert terms["pseudo_foreground_unet"] == 1
    for name, logits in (("unet", doubt), ("sam", doubt[..., ::2, ::2])):
        box = half_box(logits.shape[-1])
        torch.testing.assert_close(terms[f"pseudo_{name}"], masked_loss(logits, torch.ones_like(box).long(), box))


def test_without_copy_paste_the_mixed_image_is_the_strong_one():
    method = fixed_objective(torch.zeros(2, 2, 32, 32), torch.zeros(2, 2, 16, 16), None)
    image = torch.cat([torch.ones(2, 1, 64, 64), torch.zeros(2, 1, 64, 64)])
    method(Batch(image, torch.ones(2, 1, 64, 64, dtype=torch.uint8)), 1)
    assert (method.students["unet"].seen[-1][-2:] == 0).all()


def test_the_blend_follows_alpha_and_cps_crosses_the_teachers():
    unet, sam = torch.randn(2, 2, 32, 32), torch.randn(2, 2, 16, 16)
    image = torch.rand(2, 1, 64, 64)
    up = F.interpolate(sam.softmax(1), size=(32, 32), mode="bilinear")
    blends, terms = fixed_objective(unet, sam, None).teach(image, 1)
    alpha = SelfMutualConfidence(ONE)(unet.argmax(1), unet.argmax(1), sam.argmax(1), 1).view(-1, 1, 1, 1)
    torch.testing.assert_close(blends["unet"], alpha * unet.softmax(1) + (1 - alpha) * up)
    assert blends["sam"] is blends["unet"] and blends["sam"].dtype == torch.float32
    crossed, _ = fixed_objective(unet, sam, None, smc="cps").teach(image, 1)
    torch.testing.assert_close(crossed["sam"], unet.softmax(1))
    torch.testing.assert_close(crossed["unet"], up)


@pytest.mark.parametrize(("inclusive", "share"), [(True, 1.0), (False, 0.0)])
def test_pixels_at_the_threshold(inclusive, share):
    method = fixed_objective(torch.zeros(2, 2, 32, 32), torch.zeros(2, 2, 16, 16), None, tau=0.5,
                             tau_inclusive=inclusive)  # fmt: skip
    assert method(batch(), 1)["confident_unet"] == share


@pytest.mark.parametrize("update", [True, False])
def test_the_extra_weak_pass_touches_statistics_only_if_asked_to(update):
    method = objective(update_statistics=update)
    counter = next(b for name, b in method.students["unet"].named_buffers() if name.endswith("num_batches_tracked"))
    method(batch(), 1)
    assert counter == (3 if update else 2)


def test_the_second_u_net_starts_elsewhere():
    pair = make_students({"in_channels": 1, "num_classes": 2, "base_channels": 4}, {"kind": "none"})
    first, second = (next(pair[name].parameters()) for name in ("unet", "sam"))
    assert first.shape == second.shape and not torch.equal(first, second)


def test_parameters_are_those_of_the_u_net():
    assert sum(p.numel() for p in make_unet().parameters()) == 31_106_242


def test_two_images_are_learned_by_heart():
    method = objective()
    ys, xs = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    label = torch.stack([((ys - 20) ** 2 + (xs - 30) ** 2 < 150), ((ys - 40) ** 2 + (xs - 25) ** 2 < 200)])[:, None]
    images = Batch(torch.cat([0.2 + 0.6 * label.float()] * 2), label.to(torch.uint8))
    optimizers = [torch.optim.SGD(method.students["unet"].parameters(), 0.03, 0.9),
                  torch.optim.AdamW(method.students["sam"].parameters(), 0.01)]  # fmt: skip
    for step in range(1, 41):
        terms = method(images, step)
        for optimizer in optimizers:
            optimizer.zero_grad()
        (terms["supervised_unet"] + terms["supervised_sam"]).backward()
        for optimizer in optimizers:
            optimizer.step()
    assert terms["supervised_unet"] < 0.1 and terms["supervised_sam"] < 0.5
