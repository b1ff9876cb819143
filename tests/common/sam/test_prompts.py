import pytest
import torch

from common.sam import Group, adjust_boxes, boxes_from_masks, class_groups, compose, group_masks
from common.sam.prompts import move_boxes, require_empty_policy, split_components


def test_boxes_are_tight_and_inclusive():
    masks = torch.zeros(4, 10, 20, dtype=torch.bool)
    masks[0, 2:5, 3:9] = True
    masks[1, 0, 0] = masks[1, 9, 19] = True
    masks[2, 9, 19] = True
    boxes, valid = boxes_from_masks(masks)
    assert boxes[:3].tolist() == [[3, 2, 8, 4], [0, 0, 19, 9], [19, 9, 19, 9]]
    assert valid.tolist() == [True, True, True, False]


def test_boxes_move_outward_and_stay_inside():
    boxes = torch.tensor(
        [[10.0, 20.0, 30.0, 40.0], [0.0, 0.0, 63.0, 63.0], [63.0, 63.0, 63.0, 63.0], [5.0, 5.0, 5.0, 5.0]]
    )
    moved = adjust_boxes(boxes, (64, 64), pad=2 / 64)
    assert moved.tolist() == [[8, 18, 32, 42], [0, 0, 63, 63], [61, 61, 63, 63], [3, 3, 7, 7]]
    thin = adjust_boxes(boxes[2:], (64, 64), pad=0)
    assert thin.tolist() == [[62, 62, 63, 63], [5, 5, 6, 6]]


def test_jitter_moves_each_side_outward_by_less_than_its_limit():
    boxes = torch.tensor([[300.0, 300.0, 500.0, 500.0]]).repeat(200, 1)
    moved = adjust_boxes(boxes, (1024, 1024), 0, 20 / 1024, torch.Generator().manual_seed(0))
    shift = (moved - boxes) * torch.tensor([-1, -1, 1, 1])
    assert shift.min() >= 0 and shift.max() <= 20
    assert shift.mean(0).sub(10).abs().max() < 2
    again = adjust_boxes(boxes, (1024, 1024), 0, 20 / 1024, torch.Generator().manual_seed(0))
    assert torch.equal(moved, again)


def test_a_ring_is_prompted_filled():
    label = torch.zeros(1, 9, 9, dtype=torch.int64)
    label[0, 2:7, 2:7] = 2
    label[0, 3:6, 3:6] = 3
    masks = group_masks(label, class_groups(4, [[2, 3], [3]]))
    assert masks.sum((2, 3)).tolist() == [[25, 9]]
    logits = torch.where(masks, 5.0, -5.0)
    assert torch.equal(compose(logits, class_groups(4, [[2, 3], [3]])), label)


def test_separate_classes_compete_and_the_best_above_a_half_wins():
    logits = torch.tensor([[[[3.0, -1.0, 1.0]], [[2.0, -2.0, 4.0]]]])
    groups = class_groups(3)
    assert groups == [Group((1,), 1), Group((2,), 2)]
    assert compose(logits, groups).tolist() == [[[1, 0, 2]]]
    assert compose(logits, groups, torch.tensor([[False, True]])).tolist() == [[[2, 0, 2]]]


def test_a_class_beside_a_nest_competes_with_its_groups():
    groups = class_groups(4, [[1], [2, 3], [3]])
    logits = torch.tensor([[[[3.0, 1, 1]], [[2.0, 2, 2]], [[-1.0, -1, 5]]]])
    assert compose(logits, groups).tolist() == [[[1, 2, 3]]]
    assert compose(logits.flip(1), groups[::-1]).tolist() == [[[1, 2, 2]]]


def test_components_come_largest_first():
    mask = torch.zeros(1, 8, 8, dtype=torch.bool)
    mask[0, 0, 0:2] = mask[0, 4:7, 4:7] = mask[0, 7, 0] = True
    parts = split_components(mask, 2)
    assert parts.sum((2, 3)).tolist() == [[9, 2]]
    assert split_components(mask, 4).sum((2, 3)).tolist() == [[9, 2, 1, 0]]


@pytest.mark.parametrize("groups", [[[0]], [[4]], [[]]])
def test_groups_of_unknown_classes_are_errors(groups):
    with pytest.raises(ValueError, match="classes from 1 to 3"):
        class_groups(4, groups)


def test_unknown_policies_are_errors():
    with pytest.raises(ValueError, match="empty must be one of"):
        require_empty_policy("zero")


def test_boxes_move_in_and_outward_by_a_share_of_their_own_extent():
    boxes = torch.tensor([[10.0, 20.0, 29.0, 59.0]]).repeat(500, 1)
    shift = move_boxes(boxes, 0.15, torch.Generator().manual_seed(0)) - boxes
    for side, extent in enumerate((20, 40, 20, 40)):
        moved = shift[:, side]
        assert -0.15 * extent <= moved.min() < -0.13 * extent and 0.13 * extent < moved.max() <= 0.15 * extent
        assert abs(float(moved.mean())) < 0.02 * extent
    assert torch.equal(move_boxes(boxes, 0.0), boxes)
