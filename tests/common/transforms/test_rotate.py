import math

import pytest
import torch

from common.transforms import Batch, RandomRotate2D


def batch_of(image, labeled=1):
    return Batch(image, image[:labeled].abs().to(torch.uint8))


def slow_rotation(image, angle):
    """Nearest-neighbor rotation about the center, one voxel after the other."""
    height, width = image.shape
    result = torch.zeros_like(image)
    for i in range(height):
        for j in range(width):
            y, x = i + 0.5 - height / 2, j + 0.5 - width / 2
            source_x = math.cos(angle) * x - math.sin(angle) * y + width / 2 - 0.5
            source_y = math.sin(angle) * x + math.cos(angle) * y + height / 2 - 0.5
            row, column = round(source_y), round(source_x)
            if 0 <= row < height and 0 <= column < width:
                result[i, j] = image[row, column]
    return result


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_right_angles_are_exact_on_square_slices(turns):
    image = torch.randn(1, 1, 5, 5)
    result = RandomRotate2D().apply(batch_of(image), torch.tensor([turns * math.pi / 2]))
    assert torch.equal(result.image[0, 0], torch.rot90(image[0, 0], turns))


def test_half_a_turn_is_exact_on_any_slice():
    image = torch.randn(1, 2, 4, 7)
    result = RandomRotate2D().apply(batch_of(image), torch.tensor([math.pi]))
    assert torch.equal(result.image, image.flip(2, 3))


@pytest.mark.parametrize("shape", [(9, 9), (8, 13), (13, 8)])
@pytest.mark.parametrize("degrees", [-20, -7, 13, 19])
def test_other_angles_equal_the_slow_rotation(shape, degrees):
    image, angle = torch.randn(1, 1, *shape), math.radians(degrees)
    result = RandomRotate2D().apply(batch_of(image), torch.tensor([angle]))
    assert torch.equal(result.image[0, 0], slow_rotation(image[0, 0], angle))


def test_angle_zero_changes_nothing():
    image = torch.randn(2, 1, 6, 7)
    result = RandomRotate2D().apply(batch_of(image), torch.zeros(2))
    assert torch.equal(result.image, image)


def test_label_turns_with_its_image_and_keeps_its_type():
    image = torch.randint(0, 4, (3, 1, 9, 9)).float()
    result = RandomRotate2D(degrees=20)(batch_of(image, 2), torch.Generator().manual_seed(0))
    assert result.label.dtype == torch.uint8
    assert result.label.shape[0] == 2
    assert torch.equal(result.label.float(), result.image[:2])
    assert not torch.equal(result.image, image)


def test_corners_are_filled_with_zeros():
    result = RandomRotate2D().apply(batch_of(torch.ones(1, 1, 9, 9)), torch.tensor([math.pi / 4]))
    assert result.image[0, 0, 0, 0] == 0
    assert result.image[0, 0, 4, 4] == 1


def test_angles_are_whole_degrees_in_the_published_range():
    batch = Batch(torch.zeros(2000, 1, 2, 2), torch.zeros(0, 1, 2, 2))
    angles = RandomRotate2D(20).draw(batch, torch.Generator().manual_seed(0))
    degrees = angles * 180 / math.pi
    assert set(degrees.round().int().tolist()) == set(range(-20, 20))
    torch.testing.assert_close(degrees, degrees.round(), atol=1e-4, rtol=0)


def test_a_batch_without_labels_stays_without():
    batch = Batch(torch.ones(2, 1, 4, 4), torch.zeros(0, 1, 4, 4, dtype=torch.uint8))
    assert RandomRotate2D()(batch, torch.Generator()).label.shape == (0, 1, 4, 4)
