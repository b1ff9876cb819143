import pytest
import torch

from common.transforms import Batch, RandomContrast


def batch(count=400, labeled=2):
    image = torch.tensor([0.0, 1.0]).repeat(count, 1, 3, 2, 1)
    return Batch(image, torch.ones(labeled, 1, 3, 2, 2, dtype=torch.uint8), tuple(range(count)))


def test_gain_and_offset_are_uniform_and_apart_for_each_sample():
    before = batch()
    after = RandomContrast(0.6)(before, torch.Generator().manual_seed(0))
    offset, gain = after.image[:, 0, 0, 0, 0], after.image[:, 0, 0, 0, 1] - after.image[:, 0, 0, 0, 0]
    for values, center, reach in ((gain, 1.0, 0.6), (offset, 0.0, 0.3)):
        assert center - reach <= values.min() < center - 0.95 * reach
        assert center + 0.95 * reach < values.max() <= center + reach
        assert values.mean() == pytest.approx(center, abs=0.1 * reach)
    assert abs(torch.corrcoef(torch.stack([gain, offset]))[0, 1]) < 0.1
    assert torch.equal(after.image, after.image[:, :, :1, :1].expand_as(after.image))
    assert torch.equal(after.label, before.label) and after.index == before.index


def test_the_same_generator_gives_the_same_batch_and_slices_are_taken():
    a, b = (RandomContrast(0.3)(batch(), torch.Generator().manual_seed(5)).image for _ in range(2))
    assert torch.equal(a, b)
    flat = Batch(torch.rand(3, 1, 4, 4), torch.zeros(1, 1, 4, 4, dtype=torch.uint8))
    assert RandomContrast(0.3)(flat, torch.Generator()).image.shape == (3, 1, 4, 4)


@pytest.mark.parametrize("strength", [0, 1, -0.2])
def test_a_strength_that_can_erase_or_do_nothing_is_refused(strength):
    with pytest.raises(ValueError, match="strength must be in"):
        RandomContrast(strength)
