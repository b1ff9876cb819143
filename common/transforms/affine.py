"""Affine maps of 2D images, and of boxes in them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def warp_affine(x: Tensor, theta: Tensor, size: Sequence[int], mode: str = "bilinear") -> Tensor:
    """Sample ``B, C, H, W`` at ``theta`` (``B, 2, 3``) on a grid of ``size``; beyond the border its values go on.

    The identity matrix gives ``F.interpolate(x, size, mode="bilinear")``.
    """
    if not len(x):
        return x.new_zeros(0, x.shape[1], *size)
    grid = F.affine_grid(theta, [*x.shape[:2], *size], align_corners=False)
    return F.grid_sample(x, grid, mode=mode, padding_mode="border", align_corners=False)


def warp_boxes(boxes: Tensor, theta: Tensor, size: Sequence[int], source_size: Sequence[int]) -> Tensor:
    """Boxes in a sampled image, taken back to where they come from.

    Args:
        boxes: inclusive pixel indices x0, y0, x1, y1 along the last (x) and the last but one axis (y), ``N, 4``.
        theta: matrix of each box's image, ``N, 2, 3``; made of quarter turns, mirrors, scalings and shifts.
        size: extents H, W of the sampled image.
        source_size: extents of the image that was sampled.

    Returns:
        Boxes in the source's pixels, ``N, 4``, ordered and not rounded.
    """
    extents, source = (boxes.new_tensor([s[1], s[0]]) for s in (size, source_size))
    corners = (2 * boxes.view(-1, 2, 2) + 1) / extents - 1
    places = corners @ theta[:, :, :2].mT + theta[:, None, :, 2]
    pixels = ((places + 1) * source - 1) / 2
    return torch.cat([pixels.amin(dim=1), pixels.amax(dim=1)], dim=1)
