import numpy as np
import pytest
import torch
from medpy.metric import binary
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance
from scipy import ndimage

from common.metrics import surface_dice, surface_distances
from tools.benchmark.references import all_pairs_surface_distances


def blob(seed, shape, share=0.5):
    """A random mask of smooth blobs that may touch the border."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1.5, mode="nearest")
    return field > np.quantile(field, 1 - share)


def pair(seed, shape):
    return blob(seed, shape, 0.3), blob(seed + 100, shape, 0.5)


def test_distances_of_two_voxels_by_hand():
    a, b = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    a[1, 1], b[4, 5] = True, True
    assert surface_distances(a, b) == (5.0, 5.0)
    assert surface_distances(a, b, spacing=(2.0, 1.0)) == pytest.approx([np.hypot(6, 4)] * 2)


def test_equal_masks_have_distance_zero():
    mask = blob(0, (12, 12, 6))
    assert surface_distances(mask, mask) == (0.0, 0.0)


@pytest.mark.parametrize(("shape", "spacing"), [((14, 11), (1, 1)), ((8, 9, 7), (1, 1, 1)), ((8, 9, 7), (0.5, 1, 3))])
@pytest.mark.parametrize("seed", range(3))
def test_distances_equal_those_of_all_pairs(seed, shape, spacing):
    a, b = pair(seed, shape)
    assert surface_distances(a, b, spacing) == pytest.approx(all_pairs_surface_distances(a, b, spacing))


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((30, 25), None), ((30, 25), (0.7, 1.9)), ((16, 18, 10), None), ((16, 18, 10), (1.25, 1.25, 8.0))],
)
@pytest.mark.parametrize("seed", range(4))
def test_distances_equal_medpy(seed, shape, spacing):
    a, b = pair(seed, shape)
    hd95, asd = surface_distances(a, b, spacing)
    assert hd95 == pytest.approx(binary.hd95(a, b, voxelspacing=spacing))
    assert asd == pytest.approx(binary.asd(a, b, voxelspacing=spacing))


@pytest.mark.parametrize("whole", [0, 1, 2])
def test_masks_that_fill_the_image_or_touch_its_border_equal_medpy(whole):
    a, b = np.zeros((9, 8, 7), bool), np.zeros((9, 8, 7), bool)
    a[:4], b[5:, 2:, :3] = True, True
    if whole:
        (a if whole == 1 else b)[:] = True
    hd95, asd = surface_distances(a, b)
    assert hd95 == pytest.approx(binary.hd95(a, b))
    assert asd == pytest.approx(binary.asd(a, b))


def test_masks_in_a_corner_of_a_large_image_do_not_feel_the_crop():
    a, b = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    a[2:9, 3:8], b[4:12, 3:9] = True, True
    shifted = [np.roll(mask, (20, 25), (0, 1)) for mask in (a, b)]
    assert surface_distances(a, b) == surface_distances(*shifted) == (binary.hd95(a, b), binary.asd(a, b))


def test_average_distance_has_a_direction_and_hausdorff_has_none():
    a, b = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
    a[5:8, 5:8] = True
    b[4:16, 4:16] = True
    forth, back = surface_distances(a, b), surface_distances(b, a)
    assert forth[0] == back[0]
    assert forth[1] < back[1]


@pytest.mark.parametrize("seed", range(3))
def test_monai_agrees_on_the_average_and_is_never_below_on_hausdorff(seed):
    a, b = pair(seed, (14, 12, 10))
    tensors = [torch.from_numpy(mask)[None, None] for mask in (a, b)]
    hd95, asd = surface_distances(a, b)
    assert asd == pytest.approx(float(compute_average_surface_distance(*tensors, include_background=True)), rel=1e-5)
    assert float(compute_hausdorff_distance(*tensors, percentile=95, include_background=True)) >= hd95 - 1e-6


@pytest.mark.parametrize("empty", [0, 1])
def test_empty_masks_are_refused(empty):
    masks = [np.ones((3, 3), bool), np.ones((3, 3), bool)]
    masks[empty][:] = False
    with pytest.raises(ValueError, match="non-empty"):
        surface_distances(*masks)


def test_masks_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="different shapes"):
        surface_distances(np.ones((3, 3), bool), np.ones((1, 3), bool))


def test_surface_dice_counts_what_is_within_the_tolerance():
    a, b = np.zeros((2, 12, 10, 8), bool)
    a[2:6, 2:6, 2:6] = b[3:7, 2:6, 2:6] = True
    assert surface_dice(a, a, 0) == 1
    surfaces = 4**3 - 2**3
    shared = surfaces - (16 + 4)  # all of a's surface but its first face, and what lies inside of b
    assert surface_dice(a, b, 0.5) == pytest.approx(shared / surfaces)
    assert surface_dice(a, b, 1) == 1 and surface_dice(a, b, 0.9, (1.5, 1, 1)) == pytest.approx(shared / surfaces)
    with pytest.raises(ValueError, match="non-empty"):
        surface_dice(a, np.zeros_like(a), 1)
