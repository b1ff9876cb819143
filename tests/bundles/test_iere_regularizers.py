"""IERE: the internal regularizer and the norms of the ablation."""

import math

import pytest
import torch
from iere import InternalRegularizer
from iere.losses import weight_norm
from torch import nn


def logits_of(*foreground):
    """Two-class logits ``1, 2, n`` with these foreground probabilities."""
    p = torch.tensor(foreground, dtype=torch.float64)
    return torch.stack([1 - p, p]).log().unsqueeze(0)


def test_one_hot_foreground_gives_minus_a_quarter_of_its_share():
    label = torch.tensor([[1, 1, 0, 0]])
    sure, uniform = logits_of(1 - 1e-9, 1 - 1e-9, 0.5, 0.5), logits_of(0.5, 0.5, 0.5, 0.5)
    assert InternalRegularizer()(sure, label) == pytest.approx(-0.25 * 0.5, abs=1e-6)
    assert InternalRegularizer()(uniform, label) == pytest.approx(0, abs=1e-9)
    assert InternalRegularizer(normalize=True)(sure, label) == pytest.approx(-0.5, abs=1e-6)
    assert InternalRegularizer(mode="abs")(sure, label) == pytest.approx(0.125, abs=1e-6)


def test_gradient_makes_background_uniform_and_foreground_one_hot():
    logits = logits_of(0.2, 0.8).requires_grad_()
    InternalRegularizer()(logits, torch.tensor([[0, 1]])).backward()
    toward = -(logits.grad[0, 1] - logits.grad[0, 0])  # of a descent, on the foreground's logit
    assert (toward > 0).all()  # 0.2 -> 0.5 in the background, 0.8 -> 1 in the foreground


def test_four_classes_reach_three_sixteenths():
    logits = 100 * torch.eye(4).unsqueeze(0)
    assert InternalRegularizer()(logits, torch.ones(1, 4)) == pytest.approx(-3 / 16, abs=1e-6)
    assert InternalRegularizer(normalize=True)(logits, torch.ones(1, 4)) == pytest.approx(-1, abs=1e-6)


def test_code_and_spa_equal_a_hand_table():
    p = [0.99, 0.5, 0.3, 0.01]
    variances = [2 * (q - 0.5) ** 2 for q in p]  # unbiased, two classes
    scaled = [(v - min(variances)) / (max(variances) - min(variances)) for v in variances]
    a = [1 / (1 + math.exp(-math.log(q))) for q in p]  # the logit of class 1 is log q
    code = sum(x if v > 0.3 else 1 - x for x, v in zip(a, scaled)) / 4
    spa = sum(1 - x if v > 0.3 else x for x, v in zip(a, scaled)) / 4
    assert [v > 0.3 for v in scaled] == [True, False, False, True]
    assert InternalRegularizer(mode="code")(logits_of(*p), None) == pytest.approx(code, abs=1e-6)
    assert InternalRegularizer(mode="spa")(logits_of(*p), None) == pytest.approx(spa, abs=1e-6)


def test_code_takes_all_foreground_for_several_classes():
    logits = torch.randn(2, 3, 50)
    p = logits.softmax(1)
    v = p.var(1)
    low, high = v.amin(1, True), v.amax(1, True)
    a = 1 - p[:, 0]
    expected = torch.where((v - low) / (high - low) > 0.3, a, 1 - a).mean()
    torch.testing.assert_close(InternalRegularizer(mode="code")(logits, None), expected)


def test_norms_of_the_ablation():
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    nn.init.constant_(network[0].weight, 3.0)
    nn.init.constant_(network[1].weight, -2.0)
    assert weight_norm(network, "l1") == 2 and weight_norm(network, "l2") == 4.5
