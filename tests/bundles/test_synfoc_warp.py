import math

import pytest
import torch
from synfoc import RandomWarp2D
from torch.nn import functional as F

from common.transforms import Batch

STILL = {"scale": 1.0, "degrees": 0, "flip_axis": None, "elastic": 0.0, "probability": 1.0}


def blocks(count=3, labeled=2, height=12, width=16):
    label = torch.randint(0, 3, (count, 1, height, width), dtype=torch.uint8)
    return Batch(label.float(), label[:labeled])


def warp(batch, seed=0, **options):
    transform = RandomWarp2D(**{**STILL, **options})
    return transform(batch, torch.Generator().manual_seed(seed))


def test_nothing_happens_with_probability_zero():
    batch = blocks()
    result = RandomWarp2D(probability=0.0)(batch, torch.Generator().manual_seed(0))
    torch.testing.assert_close(result.image, batch.image, atol=1e-4, rtol=0)
    assert torch.equal(result.label, batch.label) and result.label.dtype == torch.uint8


@pytest.mark.parametrize("axis", [0, 1])
def test_flip_mirrors_the_axis_asked_for(axis):
    batch = blocks()
    result = warp(batch, flip_axis=axis)
    torch.testing.assert_close(result.image, batch.image.flip(2 + axis), atol=1e-4, rtol=0)
    assert torch.equal(result.label, batch.label.flip(2 + axis))


def test_a_quarter_turn_is_exact():
    image = torch.rand(1, 1, 9, 9)
    transform = RandomWarp2D(**STILL)
    batch = Batch(image, (image > 0.5).to(torch.uint8))
    drawn = transform.draw(batch, torch.Generator().manual_seed(0)) | {"angle": torch.tensor([math.pi / 2])}
    result = transform.apply(batch, drawn)
    torch.testing.assert_close(result.image, torch.rot90(image, 1, (2, 3)), atol=1e-4, rtol=0)
    assert torch.equal(result.label, torch.rot90(batch.label, 1, (2, 3)))


def test_rotation_keeps_shapes_in_a_rectangular_image():
    ys, xs = torch.meshgrid(torch.arange(60.0), torch.arange(90.0), indexing="ij")
    disc = (((ys - 29.5) ** 2 + (xs - 44.5) ** 2) < 400).to(torch.uint8)[None, None]
    result = warp(Batch(disc.float(), disc), degrees=45)
    assert (result.label != disc).float().mean() < 0.01


def test_magnification_cuts_a_window():
    ramp = torch.linspace(0, 1, 64).expand(8, 1, 64, 64)
    result = warp(Batch(ramp, torch.zeros(0, 1, 64, 64, dtype=torch.uint8)), scale=2.0)
    spans = result.image.amax(dim=(1, 2, 3)) - result.image.amin(dim=(1, 2, 3))
    assert ((spans > 0.45) & (spans <= 1.001)).all() and spans.std() > 0.05
    assert result.image.min() >= 0 and result.image.max() <= 1


def test_elastic_field_has_the_measured_size_and_is_smooth():
    transform = RandomWarp2D(**{**STILL, "elastic": 0.008})
    image = torch.zeros(40, 1, 128, 128)
    batch = Batch(image, torch.zeros(0, 1, 128, 128, dtype=torch.uint8))
    drawn = transform.draw(batch, torch.Generator().manual_seed(0))
    still = F.affine_grid(torch.eye(2, 3).expand(40, -1, -1), [40, 1, 128, 128], align_corners=False)
    pixels = (transform.grid(image, drawn) - still) * 64
    assert pixels.std() == pytest.approx(0.008 * 128, rel=0.1)
    step = (pixels[:, 1:] - pixels[:, :-1]).std()
    assert step == pytest.approx(0.008 * 128 / (math.sqrt(2) * 0.08 * 128), rel=0.15)  # of a Gaussian process


def test_image_and_label_move_together():
    shape = F.interpolate(torch.rand(2, 1, 6, 6), size=(48, 48), mode="bilinear")
    batch = Batch(shape, (shape > 0.5).to(torch.uint8))
    result = RandomWarp2D(probability=1.0)(batch, torch.Generator().manual_seed(1))
    assert ((result.image > 0.5) != result.label.bool()).float().mean() < 0.03
    assert (result.label != batch.label).float().mean() > 0.1


def test_new_places_outside_the_image_are_zero():
    full = torch.ones(8, 1, 32, 32)
    result = warp(Batch(full, full.to(torch.uint8)), degrees=45)
    corners, middles = result.label[:, 0, 0, 0], result.label[:, 0, 16, 16]
    assert (corners == 0).sum() >= 6 and (middles == 1).all() and result.image.min() == 0


def test_the_generator_decides():
    batch = blocks()
    first, again, other = (RandomWarp2D()(batch, torch.Generator().manual_seed(s)).image for s in (4, 4, 5))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_unlabeled_batches_pass():
    assert warp(blocks(labeled=0), degrees=5).label.shape[0] == 0


@pytest.mark.parametrize("options", [{"scale": 0.9}, {"correlation": 0.0}, {"probability": 1.5}])
def test_impossible_settings_are_refused(options):
    with pytest.raises(ValueError, match="need scale >= 1"):
        RandomWarp2D(**options)
