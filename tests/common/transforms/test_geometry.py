"""Rotation, scaling and bending by their exact effects."""

import pytest
import torch

from common.transforms import Batch, RandomGeometry
from common.transforms.geometry import Warp, _matrices


def batch(shape=(16, 16, 8), labeled=2, count=4):
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(count, 1, *shape, generator=generator)
    return Batch(image, (image[:labeled] > 0.5).to(torch.uint8), (3, 1, 0, 2))


def warp(given, angle=0.0, size=1.0, bend=None, index=None):
    extents = given.image.shape[2:]
    index = torch.arange(given.image.shape[0]) if index is None else torch.tensor(index)
    theta = _matrices(torch.full((len(index),), angle), torch.full((len(index),), size), extents)
    field = torch.zeros(len(index), len(extents), *[4] * len(extents)) if bend is None else bend
    return Warp(index, theta, field)


@pytest.mark.parametrize("shape", [(16, 16, 8), (12, 16)])
def test_nothing_drawn_changes_nothing(shape):
    given = batch(shape)
    found = RandomGeometry(probabilities=(0, 0, 0))(given, torch.Generator().manual_seed(1))
    assert torch.equal(found.image, given.image) and torch.equal(found.label, given.label)
    assert found.index == given.index


@pytest.mark.parametrize("shape", [(16, 16, 8), (16, 16)])
def test_a_quarter_turn_is_that_of_rot90(shape):
    given = batch(shape)
    found = RandomGeometry().apply(given, warp(given, angle=torch.pi / 2))
    turned = [torch.rot90(part, turns, (2, 3)) for turns in (1, 3) for part in (given.image, given.label)]
    ways = [torch.allclose(found.image, turned[2 * n], atol=1e-5) for n in (0, 1)]
    assert sum(ways) == 1
    assert torch.equal(found.label, turned[2 * ways.index(True) + 1])


def test_extents_that_differ_keep_angles():
    """A point near the end of the short axis goes to the same distance on the long one."""
    image = torch.zeros(1, 1, 9, 17, 3)
    image[0, 0, 1, 8] = 1
    given = Batch(image, image.to(torch.uint8))
    found = RandomGeometry().apply(given, warp(given, angle=torch.pi / 2))
    assert {tuple(place[2:4]) for place in found.label.nonzero().tolist()} <= {(4, 5), (4, 11)}
    assert found.label.sum() == 3


def test_scale_is_the_size_of_structures():
    image = torch.zeros(1, 1, 32, 32, 32)
    image[..., 12:20, 12:20, 12:20] = 1
    given = Batch(image, image.to(torch.uint8))
    for size, side in ((2.0, 16), (0.5, 4)):
        found = RandomGeometry().apply(given, warp(given, size=size))
        assert int(found.label.sum()) == side**3


def test_bending_by_one_amount_is_a_shift():
    given = batch((8, 8, 8))
    bend = torch.zeros(4, 3, 4, 4, 4)
    bend[:, 1] = 2.0  # voxels along the second axis
    found = RandomGeometry().apply(given, warp(given, bend=bend))
    torch.testing.assert_close(found.image[:, :, :, :-2], given.image[:, :, :, 2:], atol=1e-5, rtol=0)
    assert torch.equal(found.label[:, :, :, :-2], given.label[:, :, :, 2:])


def test_samples_that_are_not_chosen_stay_bit_by_bit_and_draws_repeat():
    given = batch(count=5)
    found = RandomGeometry().apply(given, warp(given, angle=0.4, size=0.8, index=[1, 3]))
    for number in (0, 2, 4):
        assert torch.equal(found.image[number], given.image[number])
    assert torch.equal(found.label[0], given.label[0]) and not torch.equal(found.label[1], given.label[1])
    transform = RandomGeometry(probabilities=(0.5, 0.5, 0.5))
    first, second = (transform(given, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first.image, second.image) and torch.equal(first.label, second.label)
    assert not torch.equal(transform(given, torch.Generator().manual_seed(6)).image, first.image)
    assert set(first.label.unique().tolist()) <= {0, 1}


def test_drawn_values_keep_to_their_ranges():
    given = Batch(torch.rand(400, 1, 4, 4), torch.zeros(0, 1, 4, 4, dtype=torch.uint8))
    drawn = RandomGeometry(probabilities=(1, 1, 0)).draw(given, torch.Generator().manual_seed(0))
    scale = 1 / drawn.theta[:, :2, :2].det().sqrt()
    angle = torch.atan2(drawn.theta[:, 0, 1], drawn.theta[:, 0, 0]).abs().rad2deg()
    assert 0.7 <= scale.min() < 0.72 and 1.38 < scale.max() <= 1.4001
    assert angle.max() <= 30.001 and angle.max() > 29 and not drawn.bend.any()
    shares = RandomGeometry(probabilities=(0.2, 0, 0)).draw(given, torch.Generator().manual_seed(0))
    assert 50 < len(shares.index) < 110
