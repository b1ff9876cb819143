"""Each change of look by its formula."""

import pytest
import torch
from scipy.ndimage import gaussian_filter

from common.transforms import Batch, RandomAppearance
from common.transforms.appearance import Look


def batch(shape=(12, 10, 8), channels=2):
    image = torch.randn(3, channels, *shape, generator=torch.Generator().manual_seed(0))
    return Batch(image, (image[:2, :1] > 0).to(torch.uint8), (2, 0, 1))


def look(given, gamma=1.0, field=0.0, blur=0.0, reduction=1.0, noise=0.0, only=1):
    count, dims = given.image.shape[0], given.image.dim() - 2

    def of(value, neutral):
        return torch.tensor([value if number == only else neutral for number in range(count)])

    fields = torch.zeros(count, 1, *[3] * dims)
    fields[only] = field
    return Look(of(gamma, 1.0), fields, of(blur, 0.0), of(reduction, 1.0), of(noise, 0.0), 7)


def changed(given, **values):
    found = RandomAppearance().apply(given, look(given, **values))
    assert torch.equal(found.image[0], given.image[0]) and torch.equal(found.image[2], given.image[2])
    assert torch.equal(found.label, given.label) and found.index == given.index
    return found.image[1]


def test_neutral_values_change_nothing():
    given = batch()
    assert torch.equal(changed(given), given.image[1])
    none = RandomAppearance(probabilities=(0, 0, 0, 0, 0))(given, torch.Generator().manual_seed(3))
    assert torch.equal(none.image, given.image)


@pytest.mark.parametrize("shape", [(12, 10, 8), (12, 10)])
def test_gamma_keeps_the_range_and_a_constant_bias_scales_it(shape):
    given = batch(shape)
    x = given.image[1]
    low = x.flatten(1).amin(dim=1).view(-1, *[1] * len(shape))
    extent = x.flatten(1).amax(dim=1).view(-1, *[1] * len(shape)) - low
    torch.testing.assert_close(changed(given, gamma=1.4), low + extent * ((x - low) / extent) ** 1.4)
    torch.testing.assert_close(changed(given, field=0.2), low + (x - low) * torch.tensor(0.2).exp())


@pytest.mark.parametrize("shape", [(16, 14, 12), (16, 14)])
def test_blur_is_that_of_scipy(shape):
    given = batch(shape)
    wanted = [gaussian_filter(channel.numpy(), 0.8, mode="nearest", radius=3) for channel in given.image[1]]
    torch.testing.assert_close(changed(given, blur=0.8), torch.tensor(wanted), atol=1e-5, rtol=0)


def test_low_resolution_keeps_the_shape_and_loses_detail():
    given = batch((16, 16, 16))
    found = changed(given, reduction=0.5)
    assert found.shape == given.image[1].shape and found.var() < 0.6 * given.image[1].var()


def test_noise_has_its_deviation_and_repeats():
    given = batch((32, 32, 16))
    first, second = changed(given, noise=0.1), changed(given, noise=0.1)
    assert torch.equal(first, second)
    assert (first - given.image[1]).std() == pytest.approx(0.1, rel=0.02)


def test_draws_keep_to_their_ranges_and_probabilities():
    given = Batch(torch.randn(2000, 1, 2, 2), torch.zeros(0, 1, 2, 2, dtype=torch.uint8))
    drawn = RandomAppearance().draw(given, torch.Generator().manual_seed(0))
    parts = ((drawn.gamma, 1, 0.7, 1.5, 0.3), (drawn.blur, 0, 0.5, 1.0, 0.1), (drawn.reduction, 1, 0.5, 1.0, 0.125),
             (drawn.noise, 0, 0.0, 0.1, 0.1))  # fmt: skip
    for values, neutral, low, high, share in parts:
        on = values[values != neutral]
        assert low <= on.min() and on.max() <= high and on.max() - on.min() > 0.9 * (high - low)
        assert len(on) / 2000 == pytest.approx(share, abs=0.03)
    some = drawn.field[drawn.field.flatten(1).any(dim=1)]
    assert len(some) / 2000 == pytest.approx(0.2, abs=0.03) and some.std() == pytest.approx(0.3, rel=0.1)
