"""Small rotations of 2D slices."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .batch import Batch, BatchTransform


class RandomRotate2D(BatchTransform):
    """Rotate each sample about its center by a whole number of degrees, nearest neighbor, zeros outside.

    Args:
        degrees: angles are uniform in ``-degrees .. degrees - 1`` (20 in the ACDC protocol).

    One ``grid_sample`` for the batch. The published code rotates on the slice's own grid before it resizes; here both
    happen on the resized grid.
    """

    def __init__(self, degrees: int = 20) -> None:
        self.degrees = degrees

    def draw(self, batch: Batch, generator: torch.Generator | None = None) -> Tensor:
        """Angle of every sample in radians."""
        degrees = torch.randint(-self.degrees, self.degrees, batch.image.shape[:1], generator=generator)
        return degrees * (math.pi / 180)

    def apply(self, batch: Batch, parameters: Tensor) -> Batch:
        cos, sin = parameters.cos(), parameters.sin()
        height, width = batch.image.shape[2:]
        zero = torch.zeros_like(cos)
        # affine_grid works in units of half extents, so the off-diagonal terms carry the aspect ratio
        rows = torch.stack([cos, -sin * height / width, zero, sin * width / height, cos, zero], dim=1)
        theta = rows.view(-1, 2, 3).to(batch.image)
        image = self._sample(batch.image, theta)
        label = self._sample(batch.label.float(), theta[: batch.labeled]).to(batch.label.dtype)
        return Batch(image, label)

    @staticmethod
    def _sample(tensor: Tensor, theta: Tensor) -> Tensor:
        if tensor.shape[0] == 0:
            return tensor
        grid = F.affine_grid(theta, list(tensor.shape), align_corners=False)
        return F.grid_sample(tensor, grid, mode="nearest", padding_mode="zeros", align_corners=False)
