import pytest
import torch
from torch.nn import functional as F

from common.losses import mixed_loss, one_hot


def box_of(*rows):
    return torch.tensor(rows, dtype=torch.bool).unsqueeze(1)


def plain(logits, labels):
    """Half of Dice and cross-entropy of a whole image, sample by sample and class by class."""
    p, g = logits.softmax(1), one_hot(labels, logits.shape[1])
    scores = [
        (2 * (p[b, k] * g[b, k]).sum() + 1e-5) / (p[b, k].sum() + g[b, k].sum() + 1e-5)
        for b in range(len(p)) for k in range(p.shape[1])
    ]  # fmt: skip
    return (1 - sum(scores) / len(scores) + F.cross_entropy(logits, labels)) / 2


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("spatial", [(6, 5), (4, 3, 2)])
def test_without_a_box_it_is_the_plain_loss_of_the_label_outside(classes, spatial):
    logits, label = torch.randn(2, classes, *spatial), torch.randint(0, classes, (2, *spatial))
    nowhere = torch.zeros(2, 1, *spatial, dtype=torch.bool)
    torch.testing.assert_close(mixed_loss(logits, label, 1 - label.clamp(max=1), nowhere), plain(logits, label))
    torch.testing.assert_close(mixed_loss(logits, 1 - label.clamp(max=1), label, ~nowhere), plain(logits, label))


def test_exchanging_the_labels_and_the_regions_changes_nothing():
    logits, a, b = torch.randn(2, 3, 5), torch.randint(0, 3, (2, 5)), torch.randint(0, 3, (2, 5))
    box = box_of([1, 1, 0, 0, 0], [0, 0, 0, 1, 1])
    torch.testing.assert_close(mixed_loss(logits, a, b, box, (1, 0.5)), mixed_loss(logits, b, a, ~box, (0.5, 1)))


def test_weights_on_a_hand_example():
    p = torch.tensor([0.8, 0.6, 0.3], dtype=torch.float64)  # of the foreground
    logits = torch.stack([1 - p, p]).log().unsqueeze(0)
    outside, inside = torch.tensor([[1, 0, 0]]), torch.tensor([[0, 0, 1]])
    dice_out = 1 - ((2 * 0.4) / (0.6 + 1) + (2 * 0.8) / (1.4 + 1)) / 2
    dice_in = 1 - (0 / 0.7 + (2 * 0.3) / (0.3 + 1)) / 2
    ce_out, ce_in = -(torch.tensor(0.8).log() + torch.tensor(0.4).log()) / 2, -torch.tensor(0.3).log()
    expected = (dice_out + 0.5 * dice_in + ce_out + 0.5 * ce_in) / 2
    loss = mixed_loss(logits, outside, inside, box_of([0, 0, 1]), (1.0, 0.5))
    assert loss == pytest.approx(float(expected), abs=1e-4)


def test_a_weight_may_differ_per_sample():
    logits, a, b = torch.randn(2, 2, 6), torch.randint(0, 2, (2, 6)), torch.randint(0, 2, (2, 6))
    logits.requires_grad_()
    box = box_of([1, 1, 1, 0, 0, 0], [0, 1, 1, 1, 0, 0])
    mixed_loss(logits, a, b, box, (1.0, torch.tensor([0.5, 0.0]))).backward()
    grad = logits.grad.abs().sum(1)
    assert (grad[1][box[1, 0]] == 0).all() and (grad[0] > 0).all() and (grad[1][~box[1, 0]] > 0).all()
