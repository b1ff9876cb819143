"""Rings, nested and small objects, slices of volumes, and the choice of whose label to take."""

import pytest
import torch

from common.errors import InputError
from common.sam import (
    BoxRefiner,
    MeasuredTrust,
    Refined,
    class_groups,
    expected_dice,
    move_boxes,
    overlap,
    refine_volume,
    take_trusted,
)
from common.sam.prompts import keep_ungrouped, soft_boxes
from common.sam.testing import tiny_sam

GROUPS = class_groups(4, [[1], [2, 3], [3]])


def heart(size=32):
    """A ventricle (1) beside a ring (2) around a cavity (3)."""
    label = torch.zeros(1, size, size, dtype=torch.int64)
    label[0, 4:12, 2:8] = 1
    label[0, 8:26, 10:28] = 2
    label[0, 12:22, 14:24] = 3
    return label


@pytest.fixture
def sam():
    return tiny_sam(32, arch="tiny_t")


def test_sides_move_both_ways_by_their_share_of_the_box():
    boxes = torch.tensor([[100.0, 200.0, 119.0, 299.0]]).repeat(500, 1)
    moved = move_boxes(boxes, 0.15, torch.Generator().manual_seed(0)) - boxes
    limits = torch.tensor([3.0, 15.0, 3.0, 15.0])
    assert (moved.abs() <= limits).all() and (moved.abs().amax(0) > 0.95 * limits).all()
    assert (moved.mean(0).abs() < 0.1 * limits).all()
    assert torch.equal(move_boxes(boxes, 0.0), boxes)
    assert move_boxes(boxes.view(5, 10, 10, 4), 0.1).shape == (5, 10, 10, 4)


def test_a_ring_is_prompted_by_its_outer_contour_and_by_its_cavity(sam):
    refiner = BoxRefiner(sam, 4, "unit", [[1], [2, 3], [3]], box_pad=0)
    boxes, valid = refiner.prompts(heart(), refiner.frame((32, 32)))
    assert boxes[0, :, 0].tolist() == [[2, 4, 7, 11], [10, 8, 27, 25], [14, 12, 23, 21]] and valid.all()


def test_classes_without_a_group_stay_with_the_pseudo_label(sam, monkeypatch):
    """The ring is left to the network; what SAM finds around it is painted first."""
    label, groups = heart(), [[1], [3]]
    refiner = BoxRefiner(sam, 4, "unit", groups)
    monkeypatch.setattr(refiner, "answers", lambda e, boxes, index: (answer, torch.ones(2)))
    answer = torch.full((2, 32, 32), -9.0)
    answer[0, 4:12, 2:9] = answer[1, 10:22, 14:24] = 9.0
    refined = refiner.refine(torch.empty(1, 32, 8, 8), refiner.frame((32, 32)), label)
    expected = torch.where(label == 2, 2, 0)
    expected[0, 4:12, 2:9], expected[0, 10:22, 14:24] = 1, 3
    assert torch.equal(refined.label, expected)
    assert torch.equal(keep_ungrouped(torch.zeros_like(label), label, class_groups(4, groups)), (label == 2) * 2)


def test_small_objects_count_as_absent(sam):
    label = heart()
    label[0, 30, 30] = 1
    frame = BoxRefiner(sam, 4, "unit").frame((32, 32))
    for smallest, counts in ((1, [True, True]), (2, [True, False]), (49, [False, False])):
        refiner = BoxRefiner(sam, 4, "unit", [[1]], components=2, smallest=smallest)
        assert refiner.prompts(label, frame)[1][0, 0].tolist() == counts
    with pytest.raises(InputError, match="smallest=0: expected a number of pixels"):
        BoxRefiner(sam, smallest=0)


@pytest.mark.parametrize("convention", ["medsam", "litemedsam"])
def test_one_pixel_gives_a_box_of_a_pixel_of_the_input_and_a_finite_answer(sam, convention):
    label = torch.zeros(1, 64, 48, dtype=torch.int64)
    label[0, 63, 47] = 1
    refiner = BoxRefiner(sam, 2, convention, box_pad=0)
    with torch.no_grad():
        refined = refiner(torch.rand(1, 1, 64, 48), label)
    box = refiner.prompts(label, refiner.frame((64, 48)))[0][0, 0, 0]
    assert ((box[2:] - box[:2]) >= 1).all() and torch.isfinite(refined.logits).all() and refined.prompted.all()


def test_an_empty_pseudo_label_is_answered_by_nothing_or_by_everything(sam):
    image, label = torch.rand(1, 1, 32, 32), torch.zeros(1, 32, 32, dtype=torch.int64)
    with torch.no_grad():
        skipped = BoxRefiner(sam, 2, "unit")(image, label)
        full = BoxRefiner(sam, 2, "unit", empty="full_box", smallest=5)(image, label)
    assert not skipped.label.any() and not skipped.prompted.any() and skipped.quality.item() == 0
    assert full.prompted.all() and torch.isfinite(full.logits).all()


def test_agreement_and_quality_are_those_of_the_prompted_groups(sam):
    refiner, label = BoxRefiner(sam, 4, "unit", [[1], [2, 3], [3]]), heart()
    label[label == 1] = 0
    with torch.no_grad():
        refined = refiner(torch.rand(1, 1, 32, 32), label)
    assert refined.prompted.tolist() == [[False, True, True]]
    assert refined.quality[0, 0] == 0 and (refined.quality[0, 1:] != 0).all()
    expected = overlap(refined.logits[0, 2] > 0, label[0] == 3)
    assert refined.agreement[0, 2] == expected and 0 <= expected <= 1
    assert overlap(torch.zeros(2, 2, dtype=torch.bool), torch.zeros(2, 2, dtype=torch.bool)) == 1


def answered(label, groups=GROUPS, shift=1):
    """A perfect answer to ``label``, moved down by ``shift`` pixels."""
    moved = label.roll(shift, 1)
    masks = torch.stack([torch.isin(moved, torch.tensor(group.classes)) for group in groups], dim=1)
    own = torch.stack([torch.isin(label, torch.tensor(group.classes)) for group in groups], dim=1)
    ones = torch.ones(masks.shape[:2])
    return Refined(moved, torch.where(masks, 4.0, -4.0), ones > 0, 0.8 * ones, overlap(masks, own))


def test_untrusted_groups_keep_their_pseudo_label():
    label = heart()
    refined = answered(label)
    none, all_ = torch.zeros(1, 3, dtype=torch.bool), torch.ones(1, 3, dtype=torch.bool)
    assert torch.equal(take_trusted(refined, label, GROUPS, none), label)
    assert torch.equal(take_trusted(refined, label, GROUPS, all_), label.roll(1, 1))
    one = take_trusted(refined, label, GROUPS, torch.tensor([[True, False, False]]))
    assert torch.equal(one == 1, label.roll(1, 1) == 1) and torch.equal(one > 1, label > 1)
    ring = [group for group in GROUPS if group.classes != (2, 3)]
    kept = take_trusted(answered(label, ring), label, ring, none[:, :2])
    assert torch.equal(kept, label)


def test_trust_follows_what_masks_gained_by_group():
    label = heart()
    moved = label.roll(1, 1)
    truth = torch.where(label == 1, label, moved * (moved > 1))  # SAM is right about the ring and its cavity alone
    trust, refined, sure = MeasuredTrust(GROUPS, quality=0.5), answered(label), torch.ones(1, 3)
    assert not trust(refined, sure).any()  # nothing was measured
    for _ in range(3):
        trust.update(refined, label, truth, sure)
    before, expected, after = trust.means()
    assert before[0] == 1 > after[0] and (after[1:] == 1).all() and (before[1:] < 1).all() and (expected == 1).all()
    assert trust(refined, sure).tolist() == [[False, True, True]]
    unsure = torch.tensor([[0.5, 1.0, 1.5]])  # the first is believed to be worse here, the last better
    assert trust(refined, unsure).tolist() == [[True, True, False]]
    strict = MeasuredTrust(GROUPS, quality=0.9)
    strict.load_state_dict(trust.state_dict())
    assert not strict(refined, sure).any()
    kept = trust.means()
    trust.update(refined, label, torch.zeros_like(label), sure)  # cases without a group say nothing of it
    assert torch.equal(trust.means(), kept)


def test_the_expected_dice_is_right_for_probabilities_that_are():
    groups, label = GROUPS, heart()
    certain = torch.nn.functional.one_hot(label, 4).movedim(-1, 1).float()
    assert torch.allclose(expected_dice(certain, label, groups), torch.ones(1, 3))
    torch.manual_seed(0)
    p = torch.rand(1, 1, 200, 200)
    p = torch.cat([1 - p, p], dim=1)
    guess, truth = (p[:, 1] > 0.5).long(), (torch.rand(1, 200, 200) < p[:, 1]).long()
    (group,) = class_groups(2)
    found = overlap(guess == 1, truth == 1)
    assert expected_dice(p, guess, [group]).item() == pytest.approx(found.item(), abs=0.01)


def test_soft_boxes_lie_where_an_object_may_end():
    p = torch.zeros(3, 20, 20)
    p[0, 4:10, 5:15] = 1.0  # certain edges: the tight box
    p[1, 6:12, 6:12], p[1, 4:6, 6:12], p[1, 0, 19] = 1.0, 0.4, 0.9  # it may begin two rows earlier; a speck apart
    boxes = soft_boxes(p, (0.3, 0.5, 0.7, 0.9))
    assert boxes[0].tolist() == [5, 4, 14, 9]
    assert boxes[1].tolist() == [6, 5.5, 11, 11]
    assert boxes[2].tolist() == [0, 0, 0, 0]


def test_soft_boxes_prompt_by_group(sam):
    label = heart()
    refiner = BoxRefiner(sam, 4, "unit", [[1], [2, 3], [3]], box_pad=0.0)
    certain = torch.nn.functional.one_hot(label, 4).movedim(-1, 1).float()
    frame = refiner.frame(label.shape[1:])
    hard, soft = refiner.prompts(label, frame), refiner.prompts(label, frame, probabilities=certain)
    assert torch.equal(hard[0], soft[0]) and torch.equal(hard[1], soft[1])


def test_a_volume_is_refined_slice_by_slice_and_empty_ones_are_not_encoded(sam):
    label = torch.zeros(32, 32, 5, dtype=torch.uint8)
    label[..., 1] = label[..., 3] = heart()[0]
    label[3:9, 3:9, 4] = 2
    image, refiner, seen = torch.rand(1, 32, 32, 5), BoxRefiner(sam, 4, "litemedsam", [[1], [3]]), []
    sam.image_encoder.register_forward_hook(lambda _, x, y: seen.append(len(y)))
    refined = refine_volume(refiner, image, label, batch=3)
    assert seen == [2] and refined.shape == label.shape and refined.dtype == label.dtype
    with torch.no_grad():
        alone = refiner(image[None, ..., 3], label[None, ..., 3].long()).label[0]
    assert torch.equal(refined[..., 3].long(), alone)
    assert not refined[..., [0, 2]].any() and torch.equal(refined[..., 4], label[..., 4])
