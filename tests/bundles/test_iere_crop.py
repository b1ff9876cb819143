import pytest
import torch
from iere import RandomResizedCrop2D

from common.transforms import Batch, warp_boxes


def batch_of(count=3, shape=(24, 20)):
    return Batch(torch.rand(count, 1, *shape), torch.randint(0, 3, (count - 1, 1, *shape), dtype=torch.uint8))


def draw(transform, batch, seed=0):
    return transform.draw(batch, torch.Generator().manual_seed(seed))


def test_windows_keep_to_the_image_and_to_the_ranges():
    batch = Batch(torch.rand(400, 1, 8, 8), torch.zeros(0, 1, 8, 8))
    p = draw(RandomResizedCrop2D([8, 8], area=(0.2, 0.9), turn=1.0), batch)
    extent = p["theta"][:, :, :2].abs().sum(dim=2)
    assert (extent + p["theta"][:, :, 2].abs() <= 1 + 1e-6).all()
    area, ratio = extent.prod(dim=1), extent[:, 0] / extent[:, 1]
    assert 0.2 <= area.min() < 0.3 and 0.8 < area.max() <= 0.9
    assert ratio.min() >= 3 / 4 - 1e-5 and ratio.max() <= 4 / 3 + 1e-5
    assert len({tuple(row) for row in p["theta"][:, :, :2].sign().int().flatten(1).tolist()}) == 8  # all symmetries
    assert 0.1 < (p["contrast"] != 1).float().mean() < 0.3


def test_image_and_label_move_together():
    label = torch.zeros(4, 1, 40, 40, dtype=torch.uint8)
    label[:, :, 8:20, 12:30] = 1
    for seed in range(5):
        transform = RandomResizedCrop2D([32, 32], turn=0.5, contrast_probability=0.0)
        result = transform(Batch(label.float(), label), torch.Generator().manual_seed(seed))
        assert ((result.image > 0.5) == result.label.bool()).float().mean() > 0.98


def test_unlabeled_samples_are_moved_alike():
    x = torch.rand(1, 1, 16, 16).expand(2, 1, 16, 16)
    transform, batch = RandomResizedCrop2D([16, 16]), Batch(x, torch.zeros(0, 1, 16, 16, dtype=torch.uint8))
    result = transform(batch, torch.Generator().manual_seed(1))
    assert result.label.shape == (0, 1, 16, 16) and not torch.equal(result.image[0], result.image[1])


@pytest.mark.parametrize("span", [1.0, 255.0])
def test_contrast_acts_on_the_range_of_the_image_and_keeps_it(span):
    batch = batch_of()
    transform = RandomResizedCrop2D([24, 20], area=(1.0, 1.0), ratio=(20 / 24, 20 / 24), flip=0.0)
    p = {**draw(transform, batch), "contrast": torch.full((3,), 1.2), "brightness": torch.full((3,), -0.1)}
    result = transform.apply(Batch(span * batch.image, batch.label), p).image / span
    low, high = batch.image.amin((1, 2, 3), True), batch.image.amax((1, 2, 3), True)
    expected = (1.2 * batch.image - 0.1 * (high - low)).clamp(low, high)
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("size", [(32, 32), (24, 48)])
def test_boxes_go_back_to_where_the_object_was(size):
    source = (40, 60)
    label = torch.zeros(8, 1, *source, dtype=torch.uint8)
    label[:, :, 12:28, 20:44] = 1
    transform = RandomResizedCrop2D(size, area=(0.7, 1.0), turn=1.0)
    batch = Batch(label.float(), label)
    p = draw(transform, batch, 3)
    moved = transform.apply(batch, p).label.squeeze(1).bool()
    boxes = []
    for mask in moved:
        rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
        boxes.append([columns[0], rows[0], columns[-1], rows[-1]])
    back = warp_boxes(torch.tensor(boxes).float(), p["theta"], size, source)
    whole = (moved[:, 0].any(1) | moved[:, -1].any(1) | moved[:, :, 0].any(1) | moved[:, :, -1].any(1)).logical_not()
    assert whole.sum() >= 3
    limit = torch.tensor([20.0, 12.0, 43.0, 27.0]).expand(8, 4)
    torch.testing.assert_close(back[whole], limit[whole], atol=1.5, rtol=0)
