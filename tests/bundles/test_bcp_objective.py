"""BCP: each term against sums written out voxel by voxel."""

import pytest
import torch
from bcp import BCPObjective, BCPSettings, make_optimizer, pretrain_steps, region_dice_squared
from torch import nn

from common.errors import InputError
from common.networks import UNet2D, VNet, make_teacher
from common.transforms import Batch, ScaledBoxMask

ALPHA = 0.5


class Recorder(nn.Module):
    """A pointwise network that keeps its inputs."""

    def __init__(self, classes=3):
        super().__init__()
        self.layer, self.inputs = nn.Conv2d(1, classes, 1), []

    def forward(self, x):
        self.inputs.append(x.detach())
        return self.layer(x)


def objective_of(student=None, **settings):
    student = student or Recorder()
    teacher = make_teacher(student)
    with torch.no_grad():
        for weight in teacher.parameters():
            weight.add_(torch.randn_like(weight))
    settings = {"pretrain_steps": 0, "alpha": ALPHA, **settings}
    return BCPObjective(student, teacher, ScaledBoxMask(last_place=False), BCPSettings(**settings)).train()


def slices(labeled=4, unlabeled=4, shape=(12, 9), classes=3):
    label = torch.randint(0, classes, (labeled, 1, *shape), dtype=torch.uint8)
    return Batch(torch.randn(labeled + unlabeled, 1, *shape), label)


def boxed(objective, batch, seed=3):
    """The box that the objective draws after ``seed``, and its terms."""
    torch.manual_seed(seed)
    box = objective.box(batch.image[:1])[0, 0]
    torch.manual_seed(seed)
    return box, objective(batch, 2)


def region(p, y, mask, dice):
    """Dice loss and mean cross-entropy of the voxels of ``mask``: p ``B, K, ...`` probabilities, y labels."""
    values = []
    for n in range(len(p)) if dice == "linear" else [slice(None)]:
        for k in range(p.shape[1]):
            q, g = p[n, k][..., mask], (y[n] == k)[..., mask].float()
            size = q.sum() + g.sum() if dice == "linear" else q.square().sum() + g.square().sum()
            eps = 1e-5 if dice == "linear" else 1e-10
            values.append(1 - (2 * (q * g).sum() + eps) / (size + eps))
    entropies = -p.gather(1, y.unsqueeze(1)).log().squeeze(1)[..., mask]
    return sum(values) / len(values) + entropies.sum() / entropies.numel()


@pytest.mark.parametrize("dice", ["linear", "squared"])
@pytest.mark.parametrize("bn_groups", ["official", "joint"])
def test_equations_1_to_7_each_mixture_learns_from_the_label_of_each_of_its_parts(dice, bn_groups):
    objective, batch = objective_of(cc_filter="none", dice=dice, bn_groups=bn_groups), slices()
    start = {name: value.clone() for name, value in objective.teacher.state_dict().items()}
    box, terms = boxed(objective, batch)
    x_a, x_b, u_a, u_b = batch.image.chunk(4)
    y_a, y_b = batch.label.long().squeeze(1).chunk(2)
    q_a, q_b = objective.teacher.layer(batch.image[4:]).argmax(1).chunk(2)
    p_in = objective.network.layer(torch.where(box, u_a, x_a)).softmax(1)
    p_out = objective.network.layer(torch.where(box, x_b, u_b)).softmax(1)
    inward = (region(p_in, y_a, ~box, dice) + ALPHA * region(p_in, q_a, box, dice)) / 2
    outward = (ALPHA * region(p_out, q_b, ~box, dice) + region(p_out, y_b, box, dice)) / 2
    torch.testing.assert_close(terms["inward"], inward)
    torch.testing.assert_close(terms["outward"], outward)
    torch.testing.assert_close(terms["pseudo_foreground"], (torch.cat([q_a, q_b]) > 0).float().mean())
    seen = torch.cat([image for image in objective.network.inputs if image.shape[0]])
    assert torch.equal(seen, torch.cat([torch.where(box, u_a, x_a), torch.where(box, x_b, u_b)]))
    assert len(objective.network.inputs) == (1 if bn_groups == "joint" else 2)
    assert all(torch.equal(value, start[name]) for name, value in objective.teacher.state_dict().items())


@pytest.mark.parametrize(("loss", "dice"), [("composed", "linear"), ("regional", "squared"), ("regional", "linear")])
def test_pretraining_mixes_two_labeled_halves(loss, dice):
    objective, batch = objective_of(pretrain_steps=5, pretrain_loss=loss, dice=dice), slices()
    box, terms = boxed(objective, batch)
    (x_a, x_b), (y_a, y_b) = batch.image[:4].chunk(2), batch.label.long().squeeze(1).chunk(2)
    p = objective.network.layer(torch.where(box, x_b, x_a)).softmax(1)
    everywhere = torch.ones_like(box)
    if loss == "composed":
        expected = region(p, torch.where(box, y_b, y_a), everywhere, dice) / 2
    else:
        expected = (region(p, y_a, ~box, dice) + region(p, y_b, box, dice)) / 2
    assert set(terms) == {"pretraining"}
    torch.testing.assert_close(terms["pretraining"], expected)


def test_without_mixing_images_are_whole():
    objective, batch = objective_of(mixing=False, cc_filter="none"), slices()
    terms, everywhere = objective(batch, 1), torch.ones(12, 9, dtype=torch.bool)
    label, pseudo = batch.label.long().squeeze(1), objective.teacher.layer(batch.image[4:]).argmax(1)
    p = objective.network.layer(batch.image).softmax(1)
    torch.testing.assert_close(terms["inward"], region(p[:4], label, everywhere, "linear") / 2)
    torch.testing.assert_close(terms["outward"], ALPHA * region(p[4:], pseudo, everywhere, "linear") / 2)
    terms = objective_of(mixing=False, pretrain_steps=1)(batch, 1)
    assert set(terms) == {"pretraining"}


def test_pseudo_labels_keep_the_largest_component_of_each_class():
    objective = objective_of(Recorder(2))
    with torch.no_grad():
        objective.teacher.layer.weight.copy_(torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1))
        objective.teacher.layer.bias.zero_()
    image = torch.full((2, 1, 8, 8), -1.0)
    image[0, 0, :2, :2], image[0, 0, 5:, 5:] = 1.0, 1.0
    kept = objective.pseudo_label(image)
    assert kept[0].sum() == 9 and kept[0, 5:, 5:].all() and not kept[1].any()


def test_the_teacher_starts_as_the_pretrained_student():
    objective, batch = objective_of(pretrain_steps=2), slices()
    for step in (1, 2):
        assert "pretraining" in objective(batch, step)
        assert not torch.equal(objective.teacher.layer.weight, objective.network.layer.weight)
    assert "inward" in objective(batch, 3)
    assert torch.equal(objective.teacher.layer.weight, objective.network.layer.weight)


def test_without_unlabeled_samples_pretraining_goes_on():
    assert set(objective_of()(slices(unlabeled=0), 9)) == {"pretraining"}


@pytest.mark.parametrize(("labeled", "unlabeled"), [(3, 3), (4, 2)])
def test_halves_must_fit(labeled, unlabeled):
    with pytest.raises(InputError, match="even number of labeled images and as many"):
        objective_of()(slices(labeled, unlabeled), 1)


@pytest.mark.parametrize("mode", [True, False])
def test_the_teacher_trains_or_not(mode):
    objective = objective_of(teacher_train_mode=mode).train()
    assert objective.network.training and objective.teacher.training == mode


@pytest.mark.parametrize(("network", "shape"), [(UNet2D, (32, 32)), (VNet, (32, 16, 16))])
@pytest.mark.parametrize("term", ["pretraining", "inward", "outward"])
def test_each_term_alone_moves_the_whole_student_and_nothing_else(network, shape, term):
    torch.manual_seed(0)
    student = network(base_channels=4, out_channels=2)
    objective = objective_of(student, pretrain_steps=1 if term == "pretraining" else 0)
    objective(slices(2, 2, shape, 2), 1)[term].backward()
    trained = [p for p in objective.parameters() if p.requires_grad]
    assert len(trained) == len(list(student.parameters()))
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in trained)
    assert sum(p.grad.abs().sum() for p in trained) > 0


def test_absent_classes_cost_nothing_in_the_squared_form():
    g = torch.zeros(2, 3, 4, 4)
    g[:, 0] = 1
    everywhere = torch.ones(2, 1, 4, 4)
    assert region_dice_squared(g, g, everywhere).abs() < 1e-6
    assert region_dice_squared(g.flip(1), g, everywhere) == pytest.approx(2 / 3, abs=1e-6)


def steps_of(**options):
    weight = nn.Parameter(torch.tensor(0.0))
    optimizer = make_optimizer([weight], 0.01, first=3, iterations=10, **options)
    rates = []
    for _ in range(10):
        optimizer.zero_grad()
        (-weight).backward()
        optimizer.step()
        rates.append(optimizer.optimizers[optimizer.steps > 3].param_groups[0]["lr"])
    return optimizer, rates


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.01] * 10),
        ("step", [0.01] * 3 + [0.01] * 4 + [0.001] * 3),
        ("poly", [0.01] * 3 + [0.01 * (1 - t / 7) ** 0.9 for t in range(7)]),
    ],
)
def test_self_training_has_a_clock_of_its_own(schedule, expected):
    _, rates = steps_of(schedule=schedule, lr_step=4)
    assert rates == pytest.approx(expected)


def test_momentum_starts_afresh_or_is_carried_over():
    fresh, carried = steps_of(schedule="constant")[0], steps_of(schedule="constant", carry=True)[0]
    assert carried.optimizers[0] is carried.optimizers[1] and fresh.optimizers[0] is not fresh.optimizers[1]
    weights = [optimizer.param_groups[0]["params"][0].item() for optimizer in (fresh, carried)]
    assert 0 < weights[0] < weights[1]
    with pytest.raises(InputError, match="schedule='cosine': expected one of poly, step, constant"):
        steps_of(schedule="cosine")


def test_three_of_ten_iterations_pretrain():
    assert [pretrain_steps(None, 1000), pretrain_steps(200, 1000), pretrain_steps(200, 1000, 0.5)] == [300, 200, 100]
