import pytest
import torch

from common.losses import weighted_prototype_distance


def naive(features, prototypes, feature_weights, prototype_weights):
    """The paper's double sum, one pair after the other."""
    total = 0.0
    for f, w in zip(features, feature_weights):
        for v, wp in zip(prototypes, prototype_weights):
            total += w * wp * (1 - torch.dot(f, v) / (f.norm() * v.norm()))
    return total / (len(features) * len(prototypes))


@pytest.mark.parametrize(("m", "k", "d"), [(1, 1, 3), (7, 4, 5), (20, 2, 2)])
def test_separable_form_equals_the_double_sum(m, k, d):
    f, v = torch.randn(m, d, dtype=torch.double), torch.randn(k, d, dtype=torch.double)
    w, wp = torch.rand(m, dtype=torch.double), torch.rand(k, dtype=torch.double)
    torch.testing.assert_close(weighted_prototype_distance(f, v, w, wp), naive(f, v, w, wp), atol=1e-6, rtol=0)


def test_float32_stays_within_a_millionth_of_the_double_sum():
    f, v = torch.randn(30, 8), torch.randn(6, 8)
    w, wp = torch.rand(30), torch.rand(6)
    torch.testing.assert_close(weighted_prototype_distance(f, v, w, wp), naive(f, v, w, wp), atol=1e-6, rtol=0)


def test_gradients_equal_those_of_the_double_sum():
    tensors = [torch.randn(5, 3), torch.randn(4, 3), torch.rand(5), torch.rand(4)]
    tensors = [t.double().requires_grad_() for t in tensors]
    fast = torch.autograd.grad(weighted_prototype_distance(*tensors), tensors)
    slow = torch.autograd.grad(naive(*tensors), tensors)
    for a, b in zip(fast, slow, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(("direction", "expected"), [(1.0, 0.0), (-1.0, 2.0)])
def test_parallel_rows_have_distance_zero_and_opposite_ones_two(direction, expected):
    f = torch.tensor([[3.0, 4.0], [6.0, 8.0]])
    v = direction * torch.tensor([[30.0, 40.0]])
    assert weighted_prototype_distance(f, v, torch.ones(2), torch.ones(1)).item() == pytest.approx(expected, abs=1e-6)


def test_lengths_of_features_and_prototypes_do_not_matter():
    f, v, w, wp = torch.randn(5, 3), torch.randn(4, 3), torch.ones(5), torch.ones(4)
    torch.testing.assert_close(
        weighted_prototype_distance(10 * f, 0.1 * v, w, wp), weighted_prototype_distance(f, v, w, wp)
    )
