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
