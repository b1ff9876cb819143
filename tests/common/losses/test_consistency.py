import pytest
import torch

from common.losses import softmax_mse


def test_distance_by_hand():
    p, q = torch.tensor([[0.9, 0.1]]), torch.tensor([[0.6, 0.4]])
    assert softmax_mse(p.log(), q.log()).item() == pytest.approx(0.09)


def test_distance_per_voxel_is_averaged_over_classes():
    a, b = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    p, q = a.softmax(1), b.softmax(1)
    expected = sum((p[:, c] - q[:, c]) ** 2 for c in range(3)) / 3
    torch.testing.assert_close(softmax_mse(a, b), expected)


def test_two_class_mean_is_the_published_sum_over_twice_the_voxels():
    a, b = torch.randn(2, 2, 4, 5), torch.randn(2, 2, 4, 5)
    published = ((a.softmax(1) - b.softmax(1)) ** 2).sum() / (2 * 2 * 4 * 5)
    torch.testing.assert_close(softmax_mse(a, b).mean(), published)


def test_distance_is_zero_for_equal_maps_and_one_at_most():
    logits = torch.randn(1, 2, 6)
    assert not softmax_mse(logits, logits + 3).gt(1e-12).any()
    assert softmax_mse(torch.tensor([[50.0, -50]]), torch.tensor([[-50.0, 50]])).item() == pytest.approx(1)


def test_half_precision_logits_are_compared_in_float32():
    logits = torch.randn(1, 2, 6).bfloat16()
    assert softmax_mse(logits, logits).dtype == torch.float32
