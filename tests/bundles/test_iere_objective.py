"""IERE: stages, terms and switches of a step."""

import pytest
import torch
from iere import (
    IEREObjective,
    IERESettings,
    InternalRegularizer,
    RandomResizedCrop2D,
    ResNetUNet,
    Teacher,
)
from iere.losses import weight_norm
from torch import nn

from common.errors import InputError
from common.losses import jaccard_multiclass
from common.transforms import Batch, ScaledBoxMask

SIZE = 64


class Echo(nn.Module):
    """In the place of SAM: gives back the pseudo-label, trusted, and remembers what it was asked."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def learns(self, step, start):
        return step < start

    def loss(self, image, label, index):
        return self.weight * image.mean()

    def measure(self, views, logits, truth, label_of):
        self.measured = views, logits, truth

    def labels(self, views, pseudo, logits):
        self.asked = views, pseudo, logits
        return pseudo, torch.ones(len(pseudo))


def objective_of(classes=2, teacher="shared_head", sam=None, ir=None, size=SIZE, **settings):
    network = ResNetUNet(1, classes, "resnet18", base_channels=8)
    augment = RandomResizedCrop2D([size, size])
    return IEREObjective(
        network, Teacher(network, teacher), augment, ScaledBoxMask(0.66),
        ir or InternalRegularizer(), sam, IERESettings(**{"pretrain_steps": 0, **settings}),
    ).train()  # fmt: skip


def test_windows_must_be_multiples_of_what_the_network_does_not_pad():
    with pytest.raises(InputError, match=r"input_size=\[112, 112\]: the network takes multiples of 32"):
        objective_of(size=112)


def batch_of(classes=2, labeled=2, unlabeled=2):
    image = torch.rand(labeled + unlabeled, 1, 72, 72)
    label = torch.randint(0, classes, (labeled, 1, 72, 72), dtype=torch.uint8)
    return Batch(image, label, tuple(range(labeled)) + tuple(range(unlabeled)))


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("bn_groups", ["official", "joint"])
def test_external_regularizer_on_the_teachers_own_labels_is_the_copy_paste_loss(classes, bn_groups):
    sam = Echo()
    objective = objective_of(classes, sam=sam, bn_groups=bn_groups)
    batch = batch_of(classes, labeled=4, unlabeled=4)
    terms = objective(batch, 1)
    torch.testing.assert_close(terms["er"], terms["bcp"])
    assert terms["sam_dice"] == 1 and terms["sam_used"] == 1
    views, pseudo, logits = sam.asked
    assert torch.equal(views.slices, batch.image[4:]) and views.index == (0, 1, 2, 3)
    known, known_logits, truth = sam.measured
    assert torch.equal(known.slices, batch.image[:4]) and known_logits.shape[0] == len(truth) == 4
    assert views.theta.shape == (4, 2, 3) and views.crops.shape == (4, 1, SIZE, SIZE)
    assert logits.shape == (4, classes, SIZE, SIZE) and pseudo.shape == (4, SIZE, SIZE)
    raw = logits.argmax(1)
    assert not logits.requires_grad and not ((pseudo != raw) & (pseudo != 0)).any()


@pytest.mark.parametrize(
    "options", [{}, {"bn_groups": "joint"}, {"cc_filter": "none"}, {"ir": InternalRegularizer(mode="code")}]
)
def test_each_term_trains_the_trunk_and_its_own_head(options):
    objective = objective_of(sam=Echo(), **options)
    terms = objective(batch_of(), 1)
    trunk, student, teacher = objective.network.encoder.conv1.weight, objective.network.head, objective.teacher.head
    heads = {"supervised": (0, 1), "bcp": (1, 0), "ir": (1, 0), "er": (1, 0)}
    for name, (to_student, to_teacher) in heads.items():
        found = torch.autograd.grad(
            terms[name], [trunk, student.weight, teacher.weight], retain_graph=True, allow_unused=True
        )
        norms = [0.0 if g is None else float(g.abs().sum()) for g in found]
        assert norms[0] > 0 and (norms[1] > 0, norms[2] > 0) == (bool(to_student), bool(to_teacher)), name
    assert not any(terms[name].requires_grad for name in ("pseudo_foreground", "sam_dice", "sam_used"))


def test_pretraining_trains_both_heads_on_mixtures_of_labeled_images():
    objective = objective_of(sam=Echo(), pretrain_steps=2)
    seen = []
    objective.network.head.register_forward_hook(lambda module, x, output: seen.append(output))
    terms = objective(batch_of(), 2)
    assert set(terms) == {"supervised", "sam"} and len(seen) == 1 and len(seen[0]) == 1
    terms["supervised"].backward()
    assert objective.network.head.weight.grad.abs().sum() > 0 and objective.teacher.head.weight.grad.abs().sum() > 0
    assert set(objective(batch_of(), 3)) >= {"supervised", "bcp", "ir", "er"}
    assert set(objective(batch_of(unlabeled=0), 3)) == {"supervised"}


def passes(objective, batch):
    """How often the trunk runs in a step of the student stage."""
    count = []
    hook = objective.network.decoder.blocks[0].register_forward_hook(lambda *_: count.append(1))
    objective(batch, 1)
    hook.remove()
    return len(count)


def test_six_passes_in_official_groups_and_three_in_joint_ones():
    batch = batch_of(labeled=4, unlabeled=4)
    assert passes(objective_of(bn_groups="official"), batch) == 6
    assert passes(objective_of(bn_groups="joint", sam=Echo()), batch) == 3


def test_terms_have_their_switches():
    names = ("ir", "er")
    assert not set(names) & set(objective_of(ir=InternalRegularizer(enabled=False))(batch_of(), 1))
    assert "er" not in objective_of(sam=Echo(), external=False)(batch_of(), 1)
    for kind in ("l1", "l2"):
        objective = objective_of(substitute=kind)
        torch.testing.assert_close(objective(batch_of(), 1)["er"], weight_norm(objective.network, kind))


def test_without_sam_the_external_regularizer_is_off_and_says_so(caplog):
    with caplog.at_level("INFO"):
        objective = objective_of()
    assert "the external regularizer is off" in caplog.text
    assert "er" not in objective(batch_of(), 1)


@pytest.mark.parametrize(("labeled", "unlabeled"), [(3, 3), (2, 4), (4, 2), (1, 0)])
def test_batches_that_cannot_be_halved_and_mixed_are_refused(labeled, unlabeled):
    with pytest.raises(InputError, match=f"labeled_batch={labeled}, unlabeled_batch={unlabeled}"):
        objective_of()(batch_of(labeled=labeled, unlabeled=unlabeled), 1)


@pytest.mark.parametrize("kind", ["ema", "fixed"])
def test_a_copy_as_teacher_gets_no_gradient_and_labels_train_the_student(kind):
    objective = objective_of(teacher=kind, pretrain_steps=1)
    with torch.no_grad():
        objective.network.head.bias += 1
    for step in (1, 2):
        terms = objective(batch_of(), step)
        (gradient,) = torch.autograd.grad(terms["supervised"], objective.network.head.weight, retain_graph=True)
        assert gradient.abs().sum() > 0
        equal = torch.equal(objective.teacher.copy.head.bias, objective.network.head.bias)
        assert equal == (kind == "fixed" and step == 2)  # taken over when pretraining has ended
    assert not any(p.requires_grad for p in objective.teacher.copy.parameters())


def test_two_slices_can_be_learned_by_heart():
    torch.manual_seed(3)
    objective = objective_of(bn_groups="joint")
    objective.augment = RandomResizedCrop2D([SIZE, SIZE], area=(1.0, 1.0), flip=0.0, contrast_probability=0.0)
    label = torch.zeros(2, 1, SIZE, SIZE, dtype=torch.uint8)
    label[0, :, 10:40, 8:30] = 1
    label[1, :, 30:60, 20:56] = 1
    image = 0.5 * label + 0.1 * torch.randn(2, 1, SIZE, SIZE)
    batch = Batch(torch.cat([image, image]), label)
    optimizer = torch.optim.Adam(objective.parameters(), 0.005)
    for step in range(1, 61):
        optimizer.zero_grad()
        terms = objective(batch, step)
        (terms["supervised"] + terms["bcp"] + 0.5 * terms["ir"]).backward()
        optimizer.step()
    objective.network.eval()
    with torch.no_grad():
        assert jaccard_multiclass(objective.network(image), label) < 0.3
        assert ((objective.network(image).argmax(1) == label.squeeze(1)).float().mean()) > 0.97
