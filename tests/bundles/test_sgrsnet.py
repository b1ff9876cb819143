"""SGRS-Net: the acceptance tests of its equations."""

import math
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine, Events
from sgrsnet import ExtraDecay, LabeledLoss, RegionalLoss, SGRSNetObjective, SynergyRegions
from sgrsnet.losses import joint_dice
from torch import nn
from torch.nn import functional as F

from common.errors import InputError
from common.losses import SupervisedLoss, one_hot, region_dice
from common.networks import UNet2D, VNet, make_teacher
from common.transforms import Batch, MixUp, clamped_noise
from tests.oracles.recorded import preset
from tests.toys import Recorder


def logits_of(foreground):
    """Two-class logits ``1, 2, n`` with these foreground probabilities."""
    p = torch.tensor(foreground, dtype=torch.float64)
    return torch.stack([1 - p, p]).log().unsqueeze(0).float()


def objective_2d(classes=2, mixup_alpha=0.75, mixup_draws=1, **regional):
    network = UNet2D(1, classes, base_channels=4)
    parts = (LabeledLoss(), SynergyRegions(), RegionalLoss(**regional))
    mixup = {"mixup_alpha": mixup_alpha, "mixup_draws": mixup_draws}
    return SGRSNetObjective(network, make_teacher(network), *parts, **mixup).train()


def batch_2d(classes=2, n=2):
    return Batch(torch.randn(2 * n, 1, 32, 32), torch.randint(0, classes, (n, 1, 32, 32), dtype=torch.uint8))


@pytest.mark.parametrize("rule", SynergyRegions.RULES)
@pytest.mark.parametrize("classes", [2, 4])
def test_regions_are_a_partition(rule, classes):
    regions = SynergyRegions(rule=rule, tau_nats=0.5)(torch.randn(2, classes, 9, 9), torch.randn(2, classes, 9, 9))
    assert (sum(mask.int() for mask in regions.values()) == 1).all()


def test_the_limit_is_a_probability_of_0_425():
    z = logits_of([0.43, 0.42, 0.5, 0.57, 0.58])
    assert SynergyRegions()(z, z)["delta"].tolist() == [[True, False, True, True, False]]


def test_rules_combine_the_views():
    u, m = logits_of([0.5, 0.5, 0.9]), logits_of([0.5, 0.9, 0.5])
    expected = {"intersection": [True, False, False], "union": [True, True, True], "u_only": [True, True, False]}
    for rule, delta in expected.items():
        assert SynergyRegions(rule=rule)(u, m)["delta"].tolist() == [delta]
    regions = SynergyRegions()(logits_of([0.9, 0.9]), logits_of([0.8, 0.2]))
    assert regions["omega"].tolist() == [[True, False]] and regions["theta"].tolist() == [[False, True]]


def test_the_limit_scales_with_the_classes():
    uniform, sure = torch.zeros(1, 5, 1), torch.tensor([[[4.0], [0.0], [0.0], [0.0], [0.0]]])
    z = torch.cat([uniform, sure], dim=2)
    assert SynergyRegions()(z, z)["delta"].tolist() == [[True, False]]
    assert SynergyRegions().tau_nats / math.log(2) == pytest.approx(0.9838, abs=1e-4)


def loop(views, pseudo, regions, eps=0.2, eta=20.0):
    """L of the default configuration, voxel by voxel and sample by sample."""
    batch, classes, n = views[0].shape
    ce, dice = 0.0, []
    for z in views:
        p = z.softmax(1)
        total = 0.0
        for b in range(batch):
            for i in range(n):
                plain = -p[b, pseudo[b, i], i].log()
                smooth = (1 - eps) * plain + eps / classes * -(p[b, :, i].log().sum())
                total += plain * regions["omega"][b, i] + smooth * regions["theta"][b, i]
        ce += total / (batch * n) / len(views)
        for region, s in (("omega", 1.0), ("theta", eta)):
            scores = []
            for b in range(batch):
                for c in range(classes):
                    m, q, y = regions[region][b].float(), p[b, c], (pseudo[b] == c).float()
                    tp, fp, fn = (m * q * y).sum(), (m * q * (1 - y)).sum(), (m * (1 - q) * y).sum()
                    scores.append((2 * tp + s) / (2 * tp + fp + fn + s + 1e-8))
            dice.append(1 - sum(scores) / len(scores))
    return 0.5 * (ce + sum(dice) / len(dice))


@pytest.mark.parametrize("classes", [2, 3])
def test_regional_loss_equals_a_loop_over_voxels_and_samples(classes):
    views = [torch.randn(2, classes, 5), torch.randn(2, classes, 5)]
    pseudo = torch.randint(0, classes, (2, 5))
    regions = SynergyRegions(tau_nats=0.5)(*views)
    torch.testing.assert_close(RegionalLoss()(views, pseudo, regions), loop(views, pseudo, regions))


def test_a_sample_is_not_weighted_by_the_masks_of_others():
    views, pseudo = [torch.randn(2, 2, 5)] * 2, torch.randint(0, 2, (2, 5))
    theta = torch.tensor([[True] * 5, [False] * 5])
    regions = {"omega": torch.zeros_like(theta), "theta": theta, "delta": ~theta}
    views[0].requires_grad_()
    RegionalLoss()(views, pseudo, regions).backward()
    assert views[0].grad[0].abs().sum() > 0 and views[0].grad[1].abs().sum() == 0


def test_an_empty_region_costs_nothing():
    views, pseudo = [torch.randn(2, 2, 5)] * 2, torch.randint(0, 2, (2, 5))
    empty = torch.zeros(2, 5, dtype=torch.bool)
    loss = RegionalLoss(omega="none")(views, pseudo, {"omega": ~empty, "theta": empty, "delta": empty})
    assert loss == 0
    nothing = RegionalLoss(omega="none", theta="none", delta="none")
    assert nothing(views, pseudo, {"omega": ~empty, "theta": ~empty, "delta": ~empty}) == 0


@pytest.mark.parametrize("dice", LabeledLoss.DICES)
def test_perfect_prediction_has_no_supervised_loss(dice):
    labels = torch.randint(0, 2, (2, 1, 50))
    logits = 100 * one_hot(labels.squeeze(1), 2)
    assert LabeledLoss(dice)(logits, labels) == pytest.approx(0, abs=1e-5)
    assert LabeledLoss(dice, dice_factor=1.0)(logits, labels) == pytest.approx(0.25, abs=1e-5)  # as published


def test_the_default_labeled_loss_is_half_the_sum_of_cross_entropy_and_dice():
    logits, labels = torch.randn(2, 3, 50), torch.randint(0, 3, (2, 1, 50))
    torch.testing.assert_close(LabeledLoss()(logits, labels), SupervisedLoss("squared_multiclass")(logits, labels))
    ours, published = (LabeledLoss(dice_factor=n, ce_weight=0.0) for n in (2.0, 1.0))
    torch.testing.assert_close(published(logits, labels), ours(logits, labels) / 2 + 0.25)


@pytest.mark.parametrize("wrong", [lambda: LabeledLoss("x"), lambda: RegionalLoss(dice="x"), lambda: MixUp(draws=3)])
def test_unknown_forms_are_refused(wrong):
    with pytest.raises(InputError, match="(dice|draws) must be one of"):
        wrong()


def test_joint_dice_of_an_empty_region_is_0_or_the_constant_1_of_the_smoothing():
    p, y = torch.rand(2, 2, 5, requires_grad=True), one_hot(torch.randint(0, 2, (2, 5)), 2)
    empty = torch.zeros(2, 5, dtype=torch.bool)
    for smooth, expected in ((0.0, 0.0), (20.0, 1.0)):
        loss = joint_dice(p, y, empty, smooth)
        (gradient,) = torch.autograd.grad(loss, p)
        assert loss.item() == expected and not gradient.any()


def test_agreeing_uncertain_voxels_count_in_the_cross_entropy_alone():
    views = [logits_of([0.5001, 0.5001, 0.9]), logits_of([0.5002, 0.4999, 0.9])]
    regions, pseudo = SynergyRegions()(*views), torch.tensor([[1, 1, 1]])
    assert regions["delta"].tolist() == [[True, True, False]]
    plain, counted = (RegionalLoss(uncertain_agreement=on)(views, pseudo, regions) for on in (False, True))
    ce = [F.cross_entropy(z[..., :1], pseudo[..., :1]) / 3 for z in views]
    torch.testing.assert_close(counted - plain, 0.5 * sum(ce) / 2)


def test_smoothed_cross_entropy_is_torchs():
    views, pseudo = [torch.randn(2, 3, 5)], torch.randint(0, 3, (2, 5))
    everywhere = torch.ones(2, 5, dtype=torch.bool)
    regions = {"omega": everywhere, "theta": ~everywhere, "delta": ~everywhere}
    loss = RegionalLoss(omega="nr", theta="none", reduction="sum")(views, pseudo, regions)
    dice = region_dice(views[0].softmax(1), one_hot(pseudo, 3), everywhere[:, None], 20.0).mean()
    torch.testing.assert_close(loss - dice, nn.CrossEntropyLoss(label_smoothing=0.2)(views[0], pseudo))


def test_con_on_all_regions_is_plain_pseudo_labeling():
    views, pseudo = [torch.randn(2, 2, 9), torch.randn(2, 2, 9)], torch.randint(0, 2, (2, 9))
    regions = SynergyRegions(tau_nats=0.6)(*views)
    loss = RegionalLoss("con", "con", "con", reduction="sum")(views, pseudo, regions)
    everywhere = torch.ones(2, 9, dtype=torch.bool)
    dices = [region_dice(z.softmax(1), one_hot(pseudo, 2), everywhere[:, None], 1.0).mean() for z in views]
    expected = sum(F.cross_entropy(z, pseudo) for z in views) + sum(dices)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"reduction": "sum"},
        {"dice": "joint"},
        {"uncertain_agreement": True},
        {"mixup_draws": 2},
        {"theta": "con"},
        {"omega": "nr", "delta": "nr"},
        {"mixup_alpha": 0.0},
    ],
)
def test_each_term_trains_the_student_and_not_the_teacher(classes, options):
    objective = objective_2d(classes, **options)
    terms = objective(batch_2d(classes), 1)
    first = next(objective.network.encoder.parameters())
    for name in SGRSNetObjective.TERMS:
        (gradient,) = torch.autograd.grad(terms[name], first, retain_graph=True)
        assert torch.isfinite(gradient).all() and gradient.abs().sum() > 0
    assert not any(p.requires_grad for p in objective.teacher.parameters())
    shares = terms["omega"] + terms["theta"] + terms["delta"]
    torch.testing.assert_close(shares, torch.tensor(1.0))


def test_teacher_equals_the_student_at_the_start():
    objective = objective_2d()
    pairs = zip(objective.network.state_dict().values(), objective.teacher.state_dict().values())
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("mode", [True, False])
def test_teacher_mode_is_kept_in_training(mode):
    objective = objective_2d()
    objective.teacher_train_mode = mode
    assert objective.train().teacher.training is mode and objective.network.training


def test_extra_decay_shrinks_every_floating_tensor():
    network = UNet2D(base_channels=2)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    ExtraDecay(network, 0.25).shrink(SimpleNamespace())
    for name, value in network.state_dict().items():
        expected = before[name] * 0.75 if value.is_floating_point() else before[name]
        torch.testing.assert_close(value, expected)


def test_parameters_are_those_of_the_v_net():
    network = VNet()
    parts = (LabeledLoss(), SynergyRegions(), RegionalLoss())
    objective = SGRSNetObjective(network, make_teacher(network), *parts)
    assert sum(p.numel() for p in objective.parameters() if p.requires_grad) == 9_448_866


def test_without_unlabeled_samples_only_the_supervised_term_is_left():
    batch = Batch(torch.randn(2, 1, 32, 32), torch.zeros(2, 1, 32, 32, dtype=torch.uint8))
    assert set(objective_2d()(batch, 1)) == {"supervised"}


def test_the_teacher_and_the_mixture_see_noise_and_the_student_else_does_not():
    parts = (SupervisedLoss("squared_multiclass"), SynergyRegions(), RegionalLoss())
    objective = SGRSNetObjective(Recorder(), Recorder().requires_grad_(False), *parts, noise_std=0.5)
    batch = Batch(torch.randn(3, 1, 32, 32), torch.zeros(1, 1, 32, 32, dtype=torch.uint8))
    torch.manual_seed(7)
    objective(batch, 1)
    torch.manual_seed(7)
    noisy = clamped_noise(batch.image, 0.5, 1.0)
    assert (noisy - batch.image).abs().max() == pytest.approx(1.0)
    assert torch.equal(objective.teacher.inputs[0], noisy[1:])
    seen = objective.network.inputs[0]
    assert torch.equal(seen[:3], batch.image)
    for mixture, u in zip(seen[3:], noisy[1:]):
        weight = (((mixture - noisy[0]) * (u - noisy[0])).sum() / (u - noisy[0]).square().sum()).item()
        assert 0.5 <= weight <= 1
        torch.testing.assert_close(mixture, weight * u + (1 - weight) * noisy[0])


@pytest.mark.parametrize(("double", "kept"), [(False, 0.99), (True, 0.99**2)])
def test_a_second_average_squares_the_teachers_memory(double, kept):
    """``ema_double``: long after its warm-up, the other average follows the first with the same decay."""
    config = preset("sgrsnet", "la", base_channels=2, ema_double=double)
    student, teacher = (config.get_parsed_content(name) for name in ("network", "teacher"))
    engine = Engine(lambda engine, batch: None)
    handlers = config["train"]["handlers"]
    for place in (n for n, handler in enumerate(handlers) if handler["_target_"].endswith("EMAHandler")):
        handler = config.get_parsed_content(f"train#handlers#{place}")
        if handler is not None:
            handler.attach(engine)

    def far_on(engine):
        engine.state.iteration = 10000
        for network, value in ((student, 1.0), (teacher, 3.0)):
            for p in network.parameters():
                torch.nn.init.constant_(p, value)

    engine.add_event_handler(Events.ITERATION_STARTED, far_on)
    engine.run([0])
    for p in teacher.parameters():
        torch.testing.assert_close(p, torch.full_like(p, 1 + 2 * kept))
