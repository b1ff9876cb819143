import math

import pytest
import torch
from meanteacher import MeanTeacherObjective
from meanteacher.uncertainty import monte_carlo_uncertainty

from common.losses import Ramp, SupervisedLoss, entropy, softmax_mse
from common.networks import UNet2D, VNet, make_teacher
from common.transforms import Batch
from tests.toys import Recorder

MASK = {"passes": 4, "threshold": Ramp(1.0, length=100, minimum=0.75)}
EVERYWHERE = {"passes": 4, "threshold": Ramp(2.0, length=0)}
QUIET = {"mixup_alpha": 0, "noise_std": 0.0}


def pointwise(**options):
    """Student and teacher without randomness and with different weights."""
    student, teacher = Recorder(), Recorder().requires_grad_(False)
    return MeanTeacherObjective(student, teacher, SupervisedLoss(), **{**QUIET, **options}).train()


def with_network(network, **options):
    student = network(base_channels=4, out_channels=2)
    return MeanTeacherObjective(student, make_teacher(student), SupervisedLoss(), **options).train()


def slices(labeled=2, unlabeled=3, shape=(16, 16)):
    label = (torch.rand(labeled, 1, *shape) > 0.5).to(torch.uint8)
    return Batch(torch.randn(labeled + unlabeled, 1, *shape), label)


# ---- terms


def test_supervised_term_is_the_loss_of_the_labeled_samples():
    objective, batch = pointwise(), slices()
    terms = objective(batch, 1)
    expected = SupervisedLoss()(objective.network.layer(batch.image[:2]), batch.label)
    torch.testing.assert_close(terms["supervised"], expected)


def test_hard_consistency_is_the_supervised_loss_against_the_teachers_classes():
    objective, batch = pointwise(target="hard"), slices()
    terms = objective(batch, 1)
    pseudo_label = objective.teacher.layer(batch.image[2:]).argmax(1)
    expected = SupervisedLoss()(objective.network.layer(batch.image[2:]), pseudo_label)
    torch.testing.assert_close(terms["consistency"], expected)
    torch.testing.assert_close(terms["pseudo_foreground"], pseudo_label.float().mean())


def test_soft_consistency_is_the_mean_squared_distance():
    objective, batch = pointwise(target="soft"), slices()
    terms = objective(batch, 1)
    u = batch.image[2:]
    expected = (objective.network.layer(u).softmax(1) - objective.teacher.layer(u).softmax(1)).square().mean()
    torch.testing.assert_close(terms["consistency"], expected)


def test_teacher_equal_to_the_student_has_no_soft_consistency():
    objective = pointwise(target="soft")
    objective.teacher.layer.load_state_dict(objective.network.layer.state_dict())
    assert objective(slices(), 1)["consistency"].item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("teacher", "unlabeled"), [(False, 3), (True, 0)])
def test_without_a_teacher_or_unlabeled_samples_training_is_supervised_alone(teacher, unlabeled):
    objective = pointwise()
    if not teacher:
        objective.teacher = None
    assert set(objective(slices(unlabeled=unlabeled), 1)) == {"supervised"}
    assert [len(x) for x in objective.network.inputs] == [2]


def test_weights_apply_to_both_terms():
    objective = pointwise(weights={"supervised": 2.0, "consistency": Ramp(3.0, length=10)})
    terms = objective(slices(), 4)
    expected = 2 * terms["supervised"] + Ramp(3.0, length=10)(4) * terms["consistency"]
    torch.testing.assert_close(objective.total(terms, 4), expected)


# ---- views


def test_teacher_sees_the_noisy_image_and_the_student_the_image_itself():
    objective, batch = pointwise(noise_std=0.5), slices()
    objective(batch, 1)
    assert torch.equal(objective.network.inputs[0], batch.image)
    noise = objective.teacher.inputs[0] - batch.image[2:]
    assert noise.std().item() == pytest.approx(0.45, abs=0.05)
    assert noise.abs().max().item() == pytest.approx(1.0, abs=1e-5)


def test_student_sees_the_mixture_and_the_teacher_does_not():
    objective, batch = pointwise(mixup_alpha=0.75), slices(labeled=1)
    objective(batch, 1)
    seen = objective.network.inputs[0]
    assert torch.equal(seen[:1], batch.image[:1])
    assert torch.equal(objective.teacher.inputs[0], batch.image[2 - 1 :])
    for view, u in zip(seen[1:], batch.image[1:]):
        partner = batch.image[0]
        weight = (((view - partner) * (u - partner)).sum() / (u - partner).square().sum()).item()
        assert 0.5 <= weight <= 1
        torch.testing.assert_close(view, weight * u + (1 - weight) * partner)


# ---- teacher


def test_no_gradient_reaches_the_teacher():
    objective = with_network(UNet2D)
    objective.total(objective(slices(), 1), 1).backward()
    assert all(p.grad is None for p in objective.teacher.parameters())


@pytest.mark.parametrize("teacher_train_mode", [True, False])
def test_mode_of_the_teacher_follows_its_option(teacher_train_mode):
    objective = with_network(UNet2D, teacher_train_mode=teacher_train_mode)
    assert objective.network.training
    assert objective.teacher.training == teacher_train_mode
    objective.eval()
    assert not objective.network.training
    assert not objective.teacher.training
    objective.train()
    assert objective.teacher.training == teacher_train_mode


@pytest.mark.parametrize("teacher_train_mode", [True, False])
def test_only_a_teacher_in_training_mode_moves_its_own_statistics(teacher_train_mode):
    objective = with_network(UNet2D, teacher_train_mode=teacher_train_mode)
    objective(slices(), 1)
    moved = objective.teacher.encoder[0][1].num_batches_tracked.item()
    assert moved == (1 if teacher_train_mode else 0)


# ---- every term alone trains the encoder


@pytest.mark.parametrize("term", ["supervised", "consistency"])
@pytest.mark.parametrize(
    "options",
    [{"target": "hard"}, {"target": "hard", "mixup_alpha": 0}, {"target": "soft"}, {"target": "soft", "mixup_alpha": 0},
     {"target": "soft", "mixup_alpha": 0, "uncertainty": EVERYWHERE}, {"target": "soft", "teacher_train_mode": False}],
)  # fmt: skip
@pytest.mark.parametrize(("network", "shape"), [(UNet2D, (16, 16)), (VNet, (16, 16, 16))])
def test_every_term_alone_reaches_the_encoder(network, shape, options, term):
    objective = with_network(network, **options)
    loss = objective(slices(2, 2, shape), 1)[term]
    (gradient,) = torch.autograd.grad(loss, next(objective.network.encoder.parameters()))
    assert torch.isfinite(gradient).all()
    assert gradient.abs().sum() > 0


# ---- uncertainty


def test_uncertainty_of_a_deterministic_teacher_is_its_log_softmax():
    teacher, image = Recorder(), torch.randn(2, 1, 4, 4)
    result = monte_carlo_uncertainty(teacher, image, passes=4, noise_std=0.0)
    torch.testing.assert_close(result, teacher.layer(image).log_softmax(1))
    assert not result.requires_grad


def test_uncertainty_is_the_log_of_the_mean_softmax_over_all_passes():
    teacher, image = Recorder(), torch.randn(2, 1, 4, 4)
    result = monte_carlo_uncertainty(teacher, image, passes=6, noise_std=0.5)
    noisy = [part for x in teacher.inputs for part in x.chunk(2)]
    assert len(noisy) == 6
    mean = sum(teacher.layer(x).softmax(1) for x in noisy) / 6
    torch.testing.assert_close(result, mean.log())
    assert all((x - image).abs().max() <= 1 + 1e-6 for x in noisy)


@pytest.mark.parametrize("passes", [0, 1, 3, -2])
def test_passes_must_be_even_and_positive(passes):
    with pytest.raises(ValueError, match="even and positive"):
        monte_carlo_uncertainty(Recorder(), torch.zeros(1, 1, 2, 2), passes)


@pytest.mark.parametrize("share", [0.2, 0.6, 0.9])
def test_mask_keeps_voxels_below_the_share_of_the_largest_entropy(share):
    mask = {"passes": 2, "threshold": Ramp(share, length=0)}
    objective, batch = pointwise(target="soft", uncertainty=mask), slices()
    objective.teacher.layer.weight.data.mul_(20)
    terms = objective(batch, 1)
    u = batch.image[2:]
    student, teacher = objective.network.layer(u), objective.teacher.layer(u)
    kept = entropy(teacher) < share * math.log(2)
    assert 0 < kept.float().mean() < 1
    torch.testing.assert_close(terms["certain"], kept.float().mean())
    torch.testing.assert_close(terms["consistency"], softmax_mse(student, teacher)[kept].mean())


def test_a_mask_that_keeps_nothing_gives_an_exact_zero_with_a_graph():
    objective = pointwise(target="soft", uncertainty={"passes": 2, "threshold": Ramp(0.0, length=0)})
    terms = objective(slices(), 1)
    assert terms["consistency"].item() == 0
    terms["consistency"].backward()
    assert not objective.network.layer.weight.grad.any()


def test_threshold_follows_the_step():
    objective, batch = pointwise(target="soft", uncertainty=MASK), slices()
    objective.teacher.layer.weight.data.mul_(5)
    early, late = (objective(batch, step)["certain"] for step in (1, 100))
    assert early < late
    assert late == 1


# ---- options


@pytest.mark.parametrize("options", [{"target": "hard", "mixup_alpha": 0}, {"target": "soft", "mixup_alpha": 0.75}])
def test_mask_needs_soft_targets_and_no_mixing(options):
    with pytest.raises(ValueError, match="uncertainty mask needs"):
        pointwise(uncertainty=MASK, **options)


def test_unknown_target_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="hard.*'firm'"):
        pointwise(target="firm")
