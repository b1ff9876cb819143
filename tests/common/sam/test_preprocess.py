import pytest
import torch

from common.errors import InputError
from common.sam import Frame, prepare


def test_sam_pads_zeros_after_normalising():
    x, frame = prepare(torch.full((1, 1, 20, 40), 123.675), 64, "sam")
    assert x.shape == (1, 3, 64, 64) and frame.content == (32, 64)
    torch.testing.assert_close(x[0, 0, :32], torch.zeros(32, 64), atol=1e-5, rtol=0)
    assert torch.equal(x[0, :, 32:], torch.zeros(3, 32, 64))
    assert x[0, 1, 0, 0] == pytest.approx((123.675 - 116.28) / 57.12, abs=1e-4)


def test_medsam_scales_each_image_to_one():
    images = torch.stack([torch.randn(1, 11, 9), torch.zeros(1, 11, 9), 1000 + 50 * torch.rand(1, 11, 9)])
    x, _ = prepare(images, 32, "medsam")
    assert x[[0, 2]].amin((1, 2, 3)).tolist() == [0, 0] and x[[0, 2]].amax((1, 2, 3)).tolist() == [1, 1]
    assert torch.equal(x[1], torch.zeros(3, 32, 32))


def test_medsam_resizes_cubically_and_keeps_the_range():
    """A step between two gray values is not overshot, and steeper than a linear one."""
    image = torch.zeros(1, 1, 16, 16)
    image[..., 8:] = 4.0
    (cubic, _), (linear, _) = prepare(image, 64, "medsam"), prepare(image / 4, 64, "unit")
    assert cubic[..., :28].max() < 1e-6 and cubic[..., 36:].min() > 1 - 1e-6
    assert (cubic[0, 0, 0, 33] - cubic[0, 0, 0, 30]) > (linear[0, 0, 0, 33] - linear[0, 0, 0, 30])


def test_litemedsam_resizes_the_longest_side_scales_and_pads_with_zeros():
    images = torch.stack([torch.randn(1, 20, 40), torch.zeros(1, 20, 40), -900 + 50 * torch.rand(1, 20, 40)])
    x, frame = prepare(images, 32, "litemedsam")
    assert x.shape == (3, 3, 32, 32) and frame.content == (16, 32)
    inside = x[:, :, :16]
    assert inside[[0, 2]].amin((1, 2, 3)).tolist() == [0, 0] and inside[[0, 2]].amax((1, 2, 3)).tolist() == [1, 1]
    assert not x[1].any() and not x[:, :, 16:].any()
    same, _ = prepare(images[:1], (20, 40), "litemedsam")
    expected = (images[0, 0] - images[0].min()) / (images[0].max() - images[0].min())
    torch.testing.assert_close(same[0, 1], expected)


def test_sam_rounds_halves_up():
    assert Frame.of((25, 64), 32, "sam").content == (13, 32)


def test_unit_leaves_values_and_repeats_gray():
    image = torch.rand(2, 1, 16, 16)
    x, _ = prepare(image, 16, "unit")
    assert torch.equal(x, image.expand(-1, 3, -1, -1))


@pytest.mark.parametrize(
    ("image", "convention", "message"),
    [
        (torch.full((1, 1, 4, 4), 200.0), "unit", "expects 0 to 1"),
        (torch.full((1, 1, 4, 4), -0.5), "unit", "expects 0 to 1"),
        (torch.full((1, 1, 4, 4), 300.0), "sam", "expects 0 to 255"),
        (torch.full((1, 1, 4, 4), 0.9), "sam", "not 0 to 1"),
        (torch.full((1, 1, 4, 4), torch.nan), "litemedsam", "'litemedsam' expects finite ones"),
        (torch.tensor([0.0, torch.inf]).view(1, 1, 1, 2), "medsam", "from 0.0 to inf: .* expects finite ones"),
        (torch.zeros(1, 2, 4, 4), "unit", "B, 1, H, W"),
    ],
)
def test_wrong_ranges_and_channels_are_errors(image, convention, message):
    with pytest.raises(InputError, match=message):
        prepare(image, 16, convention)


@pytest.mark.parametrize("convention", ["sam", "litemedsam", "unit"])
def test_boxes_go_there_and_back(convention):
    frame = Frame.of((30, 50), (64, 96), convention)
    boxes = torch.tensor([[0.0, 0.0, 49.0, 29.0], [3.0, 4.0, 10.0, 20.0]])
    torch.testing.assert_close(frame.boxes_to_image(frame.boxes_to_sam(boxes)), boxes)
    first, last = frame.boxes_to_sam(torch.tensor([[-0.5, -0.5, 49.5, 29.5]]))[0].split(2)
    assert first.tolist() == [-0.5, -0.5]
    torch.testing.assert_close(last, torch.tensor([frame.content[1] - 0.5, frame.content[0] - 0.5]))


@pytest.mark.parametrize("convention", ["sam", "litemedsam", "unit"])
def test_masks_come_back_to_the_pixels_of_the_image(convention):
    image = torch.zeros(1, 1, 32, 64)
    image[..., 8:24, 16:40] = 255.0 if convention == "sam" else 1.0
    x, frame = prepare(image, 64, convention)
    quarter = torch.nn.functional.avg_pool2d(x[:, :1], 4)
    back = frame.masks_to_image(quarter - quarter.mean())
    assert back.shape == image.shape
    assert ((back > 0) == (image > 0)).float().mean() > 0.9


@pytest.mark.parametrize("convention", ["medsam", "unit"])
@pytest.mark.parametrize("size", [(32, 48), (16, 16)])
def test_an_exported_network_resizes_as_one_that_runs(convention, size, monkeypatch):
    """ONNX has no antialiased resampling: there it is two products with matrices."""
    image = torch.rand(2, 1, 24, 40)
    expected, _ = prepare(image, size, convention)
    monkeypatch.setattr(torch.onnx, "is_in_onnx_export", lambda: True)
    exported, _ = prepare(image, size, convention)
    torch.testing.assert_close(exported, expected, atol=2e-3, rtol=0)


def test_an_unknown_convention_is_named():
    with pytest.raises((InputError, ValueError), match="convention"):
        prepare(torch.rand(1, 1, 4, 4), 16, "samm")
