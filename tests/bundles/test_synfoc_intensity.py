import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from scipy import ndimage
from synfoc import RandomIntensity

SHARP = 1e-3


def apply(image, brightness=1.0, contrast=1.0, sigma=SHARP):
    return RandomIntensity().apply(image, torch.tensor([[brightness, contrast, sigma]]).expand(len(image), 3))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("name", "factor"), [("Brightness", 1.7), ("Brightness", 0.3), ("Contrast", 1.8),
                                              ("Contrast", 0.2)])  # fmt: skip
def test_factors_are_those_of_pil(channels, name, factor):
    values = np.random.default_rng(0).integers(0, 256, (20, 24, channels), np.uint8)
    enhanced = getattr(ImageEnhance, name)(Image.fromarray(values.squeeze())).enhance(factor)
    image = torch.from_numpy(values).movedim(-1, 0)[None] / 255
    result = apply(image, **{name.lower(): factor})[0].movedim(0, -1) * 255
    expected = np.asarray(enhanced, np.float32).reshape(values.shape)
    np.testing.assert_allclose(result, expected, atol=1.5)  # PIL rounds


@pytest.mark.parametrize("channel", range(3))
def test_the_gray_image_weighs_colors_as_pil_does(channel):
    values = np.zeros((8, 8, 3), np.uint8)
    values[:4, :, channel] = 200
    enhanced = np.asarray(ImageEnhance.Contrast(Image.fromarray(values)).enhance(0.2), np.float32)
    result = apply(torch.from_numpy(values).movedim(-1, 0)[None] / 255, contrast=0.2)[0].movedim(0, -1) * 255
    np.testing.assert_allclose(result, enhanced, atol=1.0)


@pytest.mark.parametrize("sigma", [0.4, 2.0])
def test_blur_is_a_gaussian_with_reflected_borders(sigma):
    image = torch.rand(2, 3, 30, 26)
    expected = ndimage.gaussian_filter(image.numpy(), (0, 0, sigma, sigma), mode="mirror", radius=8)
    np.testing.assert_allclose(apply(image, sigma=sigma), expected, atol=1e-5)


def test_every_image_gets_its_own_change_within_the_ranges():
    image = torch.rand(1, 1, 16, 16).expand(64, -1, -1, -1)
    transform = RandomIntensity((0.5, 1.5), (0.2, 0.4), (0.1, 1.0))
    drawn = transform.draw(64)
    for column, (low, high) in zip(drawn.T, ((0.5, 1.5), (0.2, 0.4), (0.1, 1.0))):
        assert low <= column.min() and column.max() <= high and column.std() > 0
    changed = transform(image)
    assert len({tuple(x.flatten().tolist()) for x in changed}) == 64
    assert changed.min() >= 0 and changed.max() <= 1


def test_tiny_images_are_blurred_within_their_size():
    assert apply(torch.rand(1, 1, 4, 4), sigma=2.0).shape == (1, 1, 4, 4)


@pytest.mark.parametrize("options", [{"brightness": (2.0, 1.0)}, {"contrast": (-1.0, 1.0)}, {"sigma": (0.0, 1.0)}])
def test_impossible_ranges_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        RandomIntensity(**options)


def test_images_keep_their_precision_under_autocast():
    image, intensity = torch.rand(2, 3, 16, 12), RandomIntensity()
    parameters = intensity.draw(2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = intensity.apply(image, parameters)
    assert torch.equal(under, intensity.apply(image, parameters))
