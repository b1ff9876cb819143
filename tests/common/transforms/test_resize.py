"""Three rules of the nearest pixel and Pillow's filters, against the libraries that they stand for."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import zoom
from torch.nn import functional as F

from common.transforms import resize_image, resize_nearest
from common.transforms.resize import NEAREST, RESAMPLES, resampling_weights

PAIRS = [(64, 48), (64, 36), (64, 16), (48, 16), (36, 16), (16, 36), (16, 48), (97, 40), (40, 97), (512, 384),
         (512, 288), (512, 256), (512, 128), (384, 128), (288, 128), (7, 7), (5, 1)]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_each_rule_takes_the_pixels_of_its_library(old, new):
    x = torch.arange(old, dtype=torch.float32).view(1, 1, old)
    expected = {
        "nearest": F.interpolate(x, new, mode="nearest-exact")[0, 0],
        "nearest_floor": F.interpolate(x, new, mode="nearest")[0, 0],
        "nearest_corners": torch.from_numpy(zoom(x[0, 0].numpy(), new / old, order=0)),
    }
    for rule in NEAREST:
        assert torch.equal(resize_nearest(x, [new], rule)[0, 0], expected[rule]), rule


def test_rules_keep_the_type_and_serve_every_axis():
    label = torch.randint(0, 4, (2, 1, 40, 23, 9), dtype=torch.uint8)
    for rule in NEAREST:
        small = resize_nearest(label, (13, 23, 20), rule)
        assert small.dtype == torch.uint8 and small.shape == (2, 1, 13, 23, 20)
    corners = resize_nearest(label, (13, 23, 20), "nearest_corners")[1, 0]
    assert np.array_equal(corners, zoom(label[1, 0].numpy(), (13 / 40, 1, 20 / 9), order=0))


@pytest.mark.parametrize(("name", "kernel"), [("linear", Image.BILINEAR), ("lanczos", Image.LANCZOS)])
@pytest.mark.parametrize("size", [(64, 64), (31, 80), (90, 110), (90, 40), (200, 256)])
def test_pillows_filters_to_the_last_level(name, kernel, size):
    levels = torch.randint(0, 256, (2, 3, 90, 110))
    resized = resize_image(levels / 255, size, f"pillow_{name}")
    for image, result in zip(levels.flatten(0, 1), resized.flatten(0, 1)):
        picture = Image.fromarray(image.T.numpy().astype(np.uint8))  # pictures are read with x as their first axis
        assert np.array_equal(np.asarray(picture.resize(size, kernel)).T, (255 * result).round().numpy())


@pytest.mark.parametrize(("kernel", "mode"), [("linear", "bilinear"), ("cubic", "bicubic")])
@pytest.mark.parametrize(("old", "new"), [(10, 32), (32, 10), (33, 32), (16, 16)])
def test_resampling_matrices_equal_torchs(old, new, kernel, mode):
    x = torch.rand(2, 3, old, old + 3)
    expected = F.interpolate(x, size=(new, new), mode=mode, antialias=True)
    product = resampling_weights(old, new, kernel) @ x @ resampling_weights(old + 3, new, kernel).T
    torch.testing.assert_close(product, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("resample", RESAMPLES)
def test_an_image_of_the_size_stays_as_it_is(resample):
    image = torch.rand(1, 1, 8, 9)
    assert torch.equal(resize_image(image, (8, 9), resample), image)


def test_an_unknown_way_is_refused():
    with pytest.raises(ValueError, match="resample must be one of"):
        resize_image(torch.rand(1, 1, 8, 8), (4, 4), "bilinear")
    with pytest.raises(ValueError, match="rule must be one of"):
        resize_nearest(torch.rand(1, 1, 8, 8), (4, 4), "antialias")
