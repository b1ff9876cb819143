import math

import pytest
import torch
from torch.nn import functional as F

from common.losses import entropy, kl_divergence


def test_entropy_by_hand():
    p = torch.tensor([[0.25], [0.75]])
    expected = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert entropy(p.log().T[:, :, None]).item() == pytest.approx(expected)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_entropy_of_a_uniform_map_is_the_logarithm_of_the_classes(classes):
    h = entropy(torch.zeros(2, classes, 3, 4))
    torch.testing.assert_close(h, torch.full((2, 3, 4), math.log(classes)))


def test_entropy_of_extreme_logits_is_zero_with_a_finite_gradient():
    logits = torch.tensor([[1e4, -1e4]], requires_grad=True)
    h = entropy(logits)
    h.sum().backward()
    assert h.item() == 0
    assert torch.isfinite(logits.grad).all()


def test_entropy_ignores_a_shift_of_the_logits():
    logits = torch.randn(2, 3, 4)
    torch.testing.assert_close(entropy(logits), entropy(logits + 7))


def test_kl_divergence_by_hand():
    q, p = torch.tensor([[0.5, 0.5]]), torch.tensor([[0.9, 0.1]])
    expected = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
    assert kl_divergence(q.log(), p.log()).item() == pytest.approx(expected)


def test_kl_divergence_equals_torch_per_voxel():
    q, p = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    expected = F.kl_div(p.log_softmax(1), q.log_softmax(1), reduction="none", log_target=True).sum(1)
    torch.testing.assert_close(kl_divergence(q, p), expected)


def test_kl_divergence_is_zero_for_equal_maps_and_has_a_direction():
    q, p = torch.randn(1, 3, 6), torch.randn(1, 3, 6)
    torch.testing.assert_close(kl_divergence(q, q + 2), torch.zeros(1, 6))
    assert not torch.allclose(kl_divergence(q, p), kl_divergence(p, q))


def test_both_are_computed_in_float32():
    logits = torch.randn(2, 3, 4)
    half = logits.bfloat16()
    torch.testing.assert_close(entropy(half), entropy(half.float()))
    assert kl_divergence(half, half).dtype == torch.float32
