import numpy as np
import pytest
import torch
from scipy import ndimage

from common.transforms import KeepLargestComponentd, largest_component, largest_per_class


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


@pytest.mark.parametrize("size", [(30, 30), (12, 11, 10)])
def test_label_maps_keep_the_first_of_the_largest_components_of_each_class(size):
    label = torch.from_numpy(np.random.default_rng(3).integers(0, 5, size)).clamp(max=2)[None]
    kept = KeepLargestComponentd(keys="pred")({"pred": label, "case": "a"})["pred"]
    expected = torch.zeros_like(label)
    for number in (1, 2):
        components, count = ndimage.label(label[0] == number, np.ones((3,) * len(size)))
        sizes = [(components == i).sum() for i in range(1, count + 1)]
        expected[0][torch.from_numpy(components == 1 + sizes.index(max(sizes)))] = number
    assert torch.equal(kept, expected)


def test_of_two_equal_components_the_first_is_kept():
    label = torch.tensor([[[1, 1, 0, 1, 1, 0, 1]]])
    assert KeepLargestComponentd(keys="pred")({"pred": label})["pred"].tolist() == [[[1, 1, 0, 0, 0, 0, 0]]]
    assert not KeepLargestComponentd(keys="pred")({"pred": 0 * label})["pred"].any()


def test_each_class_keeps_its_largest_component():
    label = torch.tensor([[[1, 0, 1, 1], [0, 0, 0, 1], [2, 2, 0, 0], [0, 0, 0, 2]]])
    expected = torch.tensor([[[0, 0, 1, 1], [0, 0, 0, 1], [2, 2, 0, 0], [0, 0, 0, 0]]])
    assert torch.equal(largest_per_class(label, 3), expected)
    assert torch.equal(largest_per_class(label, 2), expected * (label == 1))
