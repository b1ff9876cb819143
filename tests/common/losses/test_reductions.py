import pytest
import torch

from common.losses import arg_max, masked_mean


def test_mean_over_the_mask_by_hand():
    values = torch.tensor([[1.0, 2.0], [3.0, 10.0]])
    assert masked_mean(values, torch.tensor([[True, False], [True, False]])).item() == 2


def test_mask_may_weigh():
    values, weights = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 0.5, 0.5])
    assert masked_mean(values, weights).item() == pytest.approx((1 + 1 + 2) / 2)


def test_weights_that_sum_to_less_than_one_are_not_blown_up():
    assert masked_mean(torch.tensor([4.0]), torch.tensor([0.25])).item() == 1


def test_empty_mask_gives_an_exact_zero_that_keeps_its_graph():
    values = torch.randn(3, 4, requires_grad=True)
    loss = masked_mean(values, torch.zeros(3, 4, dtype=torch.bool))
    assert loss.item() == 0
    loss.backward()
    assert torch.equal(values.grad, torch.zeros(3, 4))


def test_gradient_reaches_masked_voxels_alone():
    values = torch.randn(4, requires_grad=True)
    masked_mean(values, torch.tensor([True, False, True, False])).backward()
    assert torch.equal(values.grad, torch.tensor([0.5, 0, 0.5, 0]))


@pytest.mark.parametrize("shape", [(1, 4), (4,), (2, 4, 1)])
def test_masks_that_would_broadcast_are_refused(shape):
    with pytest.raises(ValueError, match="one shape"):
        masked_mean(torch.zeros(2, 4), torch.ones(shape))


@pytest.mark.parametrize("classes", [2, 3])
def test_arg_max_is_that_of_torch(classes):
    logits = torch.randn(2, classes, 4, 5)
    logits[0, :, 0] = 1.0
    labels = arg_max(logits)
    assert labels.dtype == torch.int64
    assert torch.equal(labels, logits.argmax(dim=1))
