import pytest
import torch

from common.losses import jaccard_binary, jaccard_multiclass, one_hot


def test_multiclass_equals_a_hand_example():
    p = torch.tensor([[0.9, 0.5, 0.2], [0.1, 0.5, 0.8]], dtype=torch.float64)  # classes x pixels
    labels = torch.tensor([[0, 1, 1]])
    background, foreground = 0.9 / (1.6 + 1 - 0.9), 1.3 / (1.4 + 2 - 1.3)
    expected = (1 - background + 1 - foreground) / 2
    assert jaccard_multiclass(p.log().unsqueeze(0), labels) == pytest.approx(expected, abs=1e-6)


def test_a_class_that_the_batch_lacks_adds_nothing_and_still_counts_in_the_divisor():
    logits, labels = torch.randn(2, 3, 5, 5), torch.zeros(2, 1, 5, 5)
    p = logits.softmax(1)[:, 0]
    torch.testing.assert_close(jaccard_multiclass(logits, labels), (1 - p.sum() / 50) / 3)


def test_sums_run_over_the_batch_at_once():
    logits, labels = torch.randn(2, 2, 4), torch.tensor([[0, 0, 0, 1], [1, 1, 0, 1]])
    together = jaccard_multiclass(logits.movedim(1, 0).flatten(1).unsqueeze(0), labels.flatten().unsqueeze(0))
    torch.testing.assert_close(jaccard_multiclass(logits, labels), together)


def test_perfect_predictions_cost_nothing():
    labels = torch.randint(0, 3, (2, 6, 6, 6))
    assert jaccard_multiclass(200 * one_hot(labels, 3), labels) == pytest.approx(0, abs=1e-6)
    masks = labels > 0
    torch.testing.assert_close(jaccard_binary(200 * (masks.float() - 0.5), masks), torch.zeros(2), atol=1e-5, rtol=0)


def test_binary_is_of_each_mask_and_two_empty_masks_agree():
    logits = torch.tensor([[0.0, 0.0], [-50.0, -50.0]])
    target = torch.tensor([[True, False], [False, False]])
    assert jaccard_binary(logits, target).tolist() == pytest.approx([1 - 0.5 / 1.5, 0], abs=1e-4)
