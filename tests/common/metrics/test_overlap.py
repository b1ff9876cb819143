import numpy as np
import pytest
from medpy.metric import binary

from common.metrics import dice, jaccard


def masks(seed, shape):
    rng = np.random.default_rng(seed)
    return rng.random(shape) > 0.6, rng.random(shape) > 0.4


def test_overlaps_by_hand():
    a, b = np.array([1, 1, 1, 0], bool), np.array([0, 1, 1, 1], bool)
    assert dice(a, b) == pytest.approx(4 / 6)
    assert jaccard(a, b) == pytest.approx(2 / 4)


@pytest.mark.parametrize("shape", [(9, 7), (6, 5, 4)])
@pytest.mark.parametrize("seed", range(4))
def test_overlaps_equal_medpy(seed, shape):
    a, b = masks(seed, shape)
    assert dice(a, b) == pytest.approx(binary.dc(a, b))
    assert jaccard(a, b) == pytest.approx(binary.jc(a, b))


@pytest.mark.parametrize("metric", [dice, jaccard])
def test_overlaps_are_symmetric_and_bounded(metric):
    a, b = masks(9, (8, 8))
    assert metric(a, b) == metric(b, a)
    assert metric(a, a) == 1
    assert metric(a, ~a) == 0


@pytest.mark.parametrize("metric", [dice, jaccard])
def test_overlap_of_two_empty_masks_is_zero(metric):
    empty = np.zeros((3, 3), bool)
    assert metric(empty, empty) == 0
    assert metric(empty, ~empty) == 0
