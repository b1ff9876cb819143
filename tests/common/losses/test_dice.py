import pytest
import torch
from monai.losses import DiceLoss
from torch.nn import functional as F

from common.losses import SupervisedLoss, dice_linear, dice_squared, dice_squared_multiclass, one_hot, region_dice


def maps(batch=2, classes=3, shape=(4, 5)):
    logits = torch.randn(batch, classes, *shape)
    labels = torch.randint(classes, (batch, *shape))
    return logits, labels


def test_one_hot_puts_the_classes_second():
    labels = torch.tensor([[[0, 2]], [[1, 1]]], dtype=torch.uint8)
    expected = torch.tensor([[[[1.0, 0]], [[0, 0]], [[0, 1]]], [[[0, 0]], [[1, 1]], [[0, 0]]]])
    assert torch.equal(one_hot(labels, 3), expected)


def test_linear_dice_by_hand():
    p, y = torch.tensor([0.5, 1.0, 0.5]), torch.tensor([1.0, 1.0, 0.0])
    assert float(dice_linear(p, y)) == pytest.approx(1 - 2 * 1.5 / 4)


def test_squared_dice_by_hand():
    p, y = torch.tensor([0.5, 1.0, 0.5]), torch.tensor([1.0, 1.0, 0.0])
    assert float(dice_squared(p, y, eps=0)) == pytest.approx(1 - 2 * 1.5 / 3.5)


@pytest.mark.parametrize("loss", [dice_linear, dice_squared])
def test_dice_of_two_empty_maps_is_zero(loss):
    assert float(loss(torch.zeros(4), torch.zeros(4))) == 0


@pytest.mark.parametrize("loss", [dice_linear, dice_squared])
def test_dice_of_equal_masks_is_zero_and_of_disjoint_ones_is_one(loss):
    mask = torch.tensor([1.0, 0.0, 1.0, 0.0])
    assert float(loss(mask, mask)) == pytest.approx(0, abs=1e-6)
    assert float(loss(mask, 1 - mask)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5)])
def test_linear_dice_equals_monai_over_batch_and_space(shape):
    logits, labels = maps(classes=2, shape=shape)
    p, y = logits.softmax(1)[:, 1:], one_hot(labels, 2)[:, 1:]
    expected = DiceLoss(batch=True, smooth_nr=1e-8, smooth_dr=1e-8)(p, y)
    torch.testing.assert_close(dice_linear(p, y), expected)


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5)])
def test_squared_dice_equals_monai_over_batch_and_space(shape):
    logits, labels = maps(classes=2, shape=shape)
    p, y = logits.softmax(1)[:, 1:], one_hot(labels, 2)[:, 1:]
    expected = DiceLoss(squared_pred=True, batch=True, smooth_nr=1e-5, smooth_dr=1e-5)(p, y)
    torch.testing.assert_close(dice_squared(p, y), expected)


def test_multiclass_dice_equals_monai_with_background():
    logits, labels = maps(classes=4)
    p, y = logits.softmax(1), one_hot(labels, 4)
    expected = DiceLoss(include_background=True, squared_pred=True, batch=True, smooth_nr=1e-10, smooth_dr=1e-10)(p, y)
    torch.testing.assert_close(dice_squared_multiclass(p, y), expected)


def test_multiclass_dice_counts_an_absent_and_unpredicted_class_as_solved():
    p = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    assert float(dice_squared_multiclass(p, p)) == 0


def test_supervised_linear_dice_of_two_classes_is_that_of_the_foreground():
    logits, labels = maps(classes=2)
    loss = SupervisedLoss(dice="linear", dice_weight=1.0, ce_weight=0.0)(logits, labels)
    torch.testing.assert_close(loss, dice_linear(logits.softmax(1)[:, 1], (labels == 1).float()))


@pytest.mark.parametrize(("kind", "one_class"), [("linear", dice_linear), ("squared", dice_squared)])
def test_supervised_dice_averages_over_foreground_classes(kind, one_class):
    logits, labels = maps(classes=4)
    p = logits.softmax(1)
    expected = sum(one_class(p[:, c], (labels == c).float()) for c in (1, 2, 3)) / 3
    torch.testing.assert_close(SupervisedLoss(kind, 1.0, 0.0)(logits, labels), expected)


def test_supervised_multiclass_dice_averages_over_all_classes():
    logits, labels = maps(classes=3)
    expected = dice_squared_multiclass(logits.softmax(1), one_hot(labels, 3))
    torch.testing.assert_close(SupervisedLoss("squared_multiclass", 1.0, 0.0)(logits, labels), expected)


def test_supervised_cross_entropy_is_the_mean_over_voxels():
    logits, labels = maps()
    by_hand = -torch.stack([logits.log_softmax(1)[b, labels[b, i, j], i, j] for b, i, j in torch.cartesian_prod(
        torch.arange(2), torch.arange(4), torch.arange(5))]).mean()  # fmt: skip
    torch.testing.assert_close(SupervisedLoss(dice_weight=0.0, ce_weight=1.0)(logits, labels), by_hand)


def test_supervised_loss_weighs_its_two_parts():
    logits, labels = maps(classes=2)
    dice = dice_squared(logits.softmax(1)[:, 1], (labels == 1).float())
    expected = 0.3 * dice + 0.7 * F.cross_entropy(logits, labels)
    torch.testing.assert_close(SupervisedLoss("squared", 0.3, 0.7)(logits, labels), expected)


def test_supervised_loss_takes_labels_with_and_without_a_channel():
    logits, labels = maps()
    loss = SupervisedLoss()
    torch.testing.assert_close(loss(logits, labels[:, None].to(torch.uint8)), loss(logits, labels))


def test_supervised_loss_of_empty_foreground_is_finite_with_a_gradient():
    logits = torch.randn(1, 2, 4, 4, requires_grad=True)
    loss = SupervisedLoss("linear", 1.0, 1.0)(logits, torch.zeros(1, 4, 4))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().sum() > 0


def test_supervised_loss_is_computed_in_float32():
    logits, labels = maps(classes=2)
    loss = SupervisedLoss()(logits.bfloat16(), labels)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, SupervisedLoss()(logits.bfloat16().float(), labels))


@pytest.mark.parametrize("shape", [(2, 5, 4), (1, 4, 5), (2, 2, 4, 5)])
def test_labels_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="do not fit"):
        SupervisedLoss()(torch.zeros(2, 3, 4, 5), torch.zeros(shape))


def test_unknown_dice_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="squared_multiclass.*'cubic'"):
        SupervisedLoss("cubic")


def test_dice_of_a_region_counts_nothing_outside_and_is_0_for_none():
    p, y = maps(batch=2)[0].softmax(dim=1), one_hot(torch.randint(3, (2, 4, 5)), 3)
    mask = torch.zeros(2, 1, 4, 5, dtype=torch.bool)
    mask[0, :, :2] = True
    inside, truth = p[0, :, :2], y[0, :, :2]
    scores = [(2 * (a * b).sum() + 20) / (a.sum() + b.sum() + 20) for a, b in zip(inside, truth)]
    torch.testing.assert_close(region_dice(p, y, mask, 20.0), torch.stack([1 - sum(scores) / 3, torch.tensor(0.0)]))
