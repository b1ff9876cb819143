"""Random boxes, as masks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


class RandomBoxMask:
    """One random axis-parallel box per sample, in 2D or 3D.

    The box covers a random share of the image; its sides are the image's, scaled by the share and bent by a random
    aspect ratio per axis, and clipped to the image; its place is uniform.

    Args:
        share: range of the covered share of the image, inside (0, 1].
        aspect: range of each side's ratio to that of a box of the image's shape (1, 1: no bending); log-uniform.
    """

    def __init__(self, share: tuple[float, float] = (0.25, 0.5), aspect: tuple[float, float] = (0.5, 2.0)) -> None:
        if not 0 < share[0] <= share[1] <= 1 or not 0 < aspect[0] <= aspect[1]:
            raise ValueError(f"need 0 < share <= 1 and 0 < aspect, in order, got {share} and {aspect}")
        self.share, self.aspect = share, aspect

    def draw(self, count: int, shape: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
        """First and last-plus-one voxel of each box along each axis, ``count, 2, dims``."""
        dims = len(shape)
        extents = torch.tensor(shape, dtype=torch.float32)
        share = torch.empty(count, 1).uniform_(*self.share, generator=generator)
        low, high = map(math.log, self.aspect)
        bend = torch.empty(count, dims).uniform_(low, high, generator=generator).exp()
        bend = bend / bend.log().mean(dim=1, keepdim=True).exp()  # the volume stays that of the share
        sides = (extents * share ** (1 / dims) * bend).round().clamp(min=torch.ones(dims), max=extents)
        first = (torch.rand(count, dims, generator=generator) * (extents - sides + 1)).floor()
        return torch.stack([first, first + sides], dim=1).long()

    def apply(self, boxes: Tensor, shape: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
        """Boolean masks ``count, 1, spatial``, set inside the boxes."""
        boxes = boxes.to(device)
        mask = torch.ones(len(boxes), *shape, dtype=torch.bool, device=device)
        for axis, extent in enumerate(shape):
            index = torch.arange(extent, device=device)
            inside = (index >= boxes[:, 0, axis, None]) & (index < boxes[:, 1, axis, None])
            mask &= inside.view(len(boxes), *[extent if a == axis else 1 for a in range(len(shape))])
        return mask.unsqueeze(1)

    def __call__(self, image: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Masks for a batch ``B, C, spatial``."""
        shape = image.shape[2:]
        return self.apply(self.draw(image.shape[0], shape, generator), shape, image.device)
