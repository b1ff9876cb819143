import torch
from torch.nn import functional as F

from common.transforms import warp_affine, warp_boxes

IDENTITY = torch.eye(2, 3).unsqueeze(0)


def test_the_identity_is_an_interpolation():
    x = torch.randn(2, 3, 10, 14)
    for size in [(10, 14), (25, 40)]:
        expected = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
        torch.testing.assert_close(warp_affine(x, IDENTITY.expand(2, 2, 3), size), expected, atol=1e-5, rtol=1e-5)


def test_the_identity_maps_boxes_to_themselves():
    boxes = torch.tensor([[0.0, 1.0, 5.0, 6.0]])
    torch.testing.assert_close(warp_boxes(boxes, IDENTITY, (10, 12), (10, 12)), boxes)
    torch.testing.assert_close(warp_boxes(boxes, IDENTITY, (10, 12), (20, 24)), (boxes + 0.5) * 2 - 0.5)


def test_a_quarter_turn_takes_boxes_where_it_takes_pixels():
    """Of images that are no squares, at another size."""
    turn = torch.tensor([[[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]])
    source = torch.zeros(1, 1, 8, 20)
    source[..., 2:4, 10:15] = 1
    y, x = warp_affine(source, turn, (40, 16), mode="nearest")[0, 0].nonzero().unbind(dim=1)
    box = torch.tensor([[x.min(), y.min(), x.max(), y.max()]]).float()
    (found,) = warp_boxes(box, turn, (40, 16), (8, 20))
    torch.testing.assert_close(found, torch.tensor([10.0, 2.0, 14.0, 3.0]), atol=0.5, rtol=0)
