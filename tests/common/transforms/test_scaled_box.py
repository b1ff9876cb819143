"""Boxes of a fixed size at a random place."""

import pytest
import torch

from common.transforms import ScaledBoxMask

PUBLISHED = [
    (2 / 3, (112, 112, 80), (74, 74, 53), (37, 37, 26)),  # BCP, left atrium
    (2 / 3, (256, 256), (170, 170), (85, 85)),  # BCP, cardiac slices
    (2 / 3, (96, 96, 96), (64, 64, 64), (31, 31, 31)),  # BCP, pancreas
    (0.66, (224, 224), (147, 147), (76, 76)),  # IERE
]


@pytest.mark.parametrize(("ratio", "shape", "sides", "last"), PUBLISHED)
@pytest.mark.parametrize("last_place", [True, False])
def test_sides_and_places_are_the_published_ones(ratio, shape, sides, last, last_place):
    boxes = ScaledBoxMask(ratio, shared=False, last_place=last_place).draw(20000, shape)
    assert (boxes[:, 1] - boxes[:, 0] == torch.tensor(sides)).all() and boxes.min() == 0
    assert boxes[:, 0].amax(dim=0).tolist() == [place + int(last_place) for place in last]


def test_one_place_per_step_or_one_per_sample():
    one, own = ScaledBoxMask().draw(5, (60, 60)), ScaledBoxMask(shared=False).draw(5, (60, 60))
    assert (one == one[0]).all() and not (own == own[0]).all()
    assert ScaledBoxMask(ratio=1.0, last_place=False)(torch.zeros(2, 1, 8, 8)).all()
    for ratio in (0.0, 1.1):
        with pytest.raises(ValueError, match="ratio must be inside"):
            ScaledBoxMask(ratio)
