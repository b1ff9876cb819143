import pytest
import torch

from common.transforms import CopyPaste, CutMix, RandomBoxMask


@pytest.mark.parametrize("shape", [(20, 30), (12, 16, 20)])
def test_boxes_cover_the_asked_share(shape):
    box = RandomBoxMask(share=(0.2, 0.3), aspect=(1.0, 1.0))
    shares = box(torch.zeros(200, 1, *shape)).float().flatten(1).mean(dim=1)
    assert shares.min() > 0.14 and shares.max() < 0.36
    assert torch.unique(shares).numel() > 2


@pytest.mark.parametrize("shape", [(20, 30), (12, 16, 20)])
def test_a_mask_is_one_box(shape):
    for mask in RandomBoxMask()(torch.zeros(20, 1, *shape))[:, 0]:
        index = mask.nonzero()
        sides = index.max(dim=0).values - index.min(dim=0).values + 1
        assert sides.prod() == mask.sum() > 0


def test_bending_keeps_the_volume_while_it_fits():
    boxes = RandomBoxMask(share=(0.1, 0.1), aspect=(0.5, 2.0)).draw(300, (100, 100))
    sides = (boxes[:, 1] - boxes[:, 0]).double()
    assert (sides.prod(dim=1) / 1000 - 1).abs().max() < 0.06
    assert (sides[:, 0] / sides[:, 1]).max() > 2


def test_boxes_cover_a_quarter_to_half_unless_asked_otherwise():
    shares = RandomBoxMask()(torch.zeros(300, 1, 128, 128)).float().flatten(1).mean(dim=1)
    assert shares.min() < 0.3 and 0.45 < shares.max() < 0.52


def test_each_sample_has_a_box_of_its_own():
    own = RandomBoxMask()(torch.zeros(8, 1, 16, 16))
    assert not all(torch.equal(own[0], mask) for mask in own)


def test_places_reach_every_border():
    masks = RandomBoxMask(share=(0.25, 0.25), aspect=(1.0, 1.0))(torch.zeros(300, 1, 8, 8))[:, 0]
    assert all(masks[(slice(None), *edge)].any() for edge in ((0,), (-1,), (slice(None), 0), (slice(None), -1)))


def test_copy_paste_exchanges_image_target_and_weights_alike():
    a = [torch.zeros(2, 1, 8, 8), torch.zeros(2, 8, 8, dtype=torch.long), torch.zeros(2, 1, 8, 8)]
    b = [torch.ones(2, 1, 8, 8), torch.ones(2, 8, 8, dtype=torch.long), torch.ones(2, 1, 8, 8)]
    one, two = CopyPaste(RandomBoxMask())(a, b)
    assert 0 < one[0].sum() < one[0].numel()
    for image, target, weight in (one, two):
        assert torch.equal(image[:, 0], target.float()) and torch.equal(image, weight)
    assert torch.equal(one[0] + two[0], torch.ones(2, 1, 8, 8))


def test_a_given_mask_is_used():
    mask = torch.zeros(1, 1, 2, 2, dtype=torch.bool)
    mask[..., 0] = True
    one, two = CopyPaste(RandomBoxMask())([torch.zeros(1, 1, 2, 2)], [torch.ones(1, 1, 2, 2)], mask)
    assert one[0].tolist() == [[[[1, 0], [1, 0]]]] and two[0].tolist() == [[[[0, 1], [0, 1]]]]


def test_batches_of_different_size_are_refused():
    with pytest.raises(ValueError, match="cannot be mixed"):
        CopyPaste(RandomBoxMask())([torch.zeros(1, 1, 4, 4)], [torch.zeros(2, 1, 4, 4)])


def test_cutmix_takes_every_voxel_from_the_sample_or_one_partner():
    image = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 8, 8)
    mixed, target = CutMix(RandomBoxMask())([image, image[:, 0].long()])
    assert torch.equal(mixed[:, 0].long(), target)
    for number, sample in enumerate(mixed):
        values = set(sample.unique().tolist())
        assert number in values and len(values) <= 2
    assert sum(len(sample.unique()) == 2 for sample in mixed) >= 2


@pytest.mark.parametrize("options", [{"share": (0.0, 0.5)}, {"share": (0.6, 0.5)}, {"aspect": (0.0, 1.0)}])
def test_senseless_ranges_are_refused(options):
    with pytest.raises(ValueError, match="share"):
        RandomBoxMask(**options)
