import numpy as np
import pytest
import torch
from scipy import ndimage

from common.transforms import largest_component


def check(mask):
    """Compare with scipy, sample by sample."""
    kept = largest_component(torch.from_numpy(mask)).numpy()
    for given, result in zip(mask, kept):
        around = np.ones((3,) * given.ndim)
        labels, count = ndimage.label(given, around)
        assert not (result & ~given).any()
        assert result.sum() == (np.bincount(labels.ravel())[1:].max() if count else 0)
        assert ndimage.label(result, around)[1] == min(count, 1)


def snake(n):
    """One component as long as half the image, and a loose pixel."""
    mask = np.zeros((n, n), bool)
    mask[:-2:2] = True
    mask[1:-3:4, -1] = mask[3:-3:4, 0] = True
    mask[-1, n // 2] = True
    return mask


@pytest.mark.parametrize("shape", [(4, 48, 64), (2, 12, 14, 10)])
@pytest.mark.parametrize("density", [0.1, 0.4, 0.5])
def test_random_masks(shape, density):
    check(np.random.rand(*shape) < density)


def test_winding_masks():
    mask = snake(96)
    check(np.stack([mask, mask[::-1], mask[:, ::-1], mask.T]))


def test_an_empty_mask_stays_empty_and_a_full_one_full():
    mask = torch.tensor([False, True]).view(2, 1, 1).expand(2, 5, 6)
    assert torch.equal(largest_component(mask), mask)
