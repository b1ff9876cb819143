"""Random rotation, scaling and bending of patches, of image and label at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .batch import Batch, BatchTransform


@dataclass(frozen=True)
class Warp:
    """Of the samples that are changed: their places in the batch, affine maps and displacements of control points."""

    index: Tensor
    theta: Tensor
    bend: Tensor


class RandomGeometry(BatchTransform):
    """Rotate, scale and bend samples, labeled or not; image linear, label nearest, the border's values beyond it.

    Rotations are in the plane of the first two axes, whose voxels are as wide as high; scaling is the same along all
    axes; bending displaces a coarse grid of control points. All of a sample's changes are one resampling, and samples
    that are not chosen stay as they are, bit by bit.

    Args:
        degrees: of rotation, drawn from ``-degrees`` to ``degrees``.
        scale: least and greatest factor of a structure's size, drawn uniformly.
        bend: deviation of the displacements in voxels.
        points: control points along each axis.
        probabilities: of rotation, of scaling and of bending.

    Source: ranges and the probability of rotation and scaling as in nnU-Net v2's default, which rotates about all axes.
    """

    def __init__(
        self,
        degrees: float = 30.0,
        scale: tuple[float, float] = (0.7, 1.4),
        bend: float = 2.0,
        points: int = 4,
        probabilities: tuple[float, float, float] = (0.2, 0.2, 0.2),
    ) -> None:
        self.degrees, self.scale, self.bend, self.points = degrees, scale, bend, points
        self.probabilities = probabilities

    def draw(self, batch: Batch, generator: torch.Generator | None = None) -> Warp:
        """Which samples change, and how."""
        count, extents = batch.image.shape[0], batch.image.shape[2:]
        chosen = torch.rand(3, count, generator=generator) < torch.tensor(self.probabilities).view(3, 1)
        u, v = torch.rand(2, count, generator=generator)
        angle = torch.where(chosen[0], (2 * u - 1) * self.degrees * math.pi / 180, 0.0)
        size = torch.where(chosen[1], self.scale[0] + v * (self.scale[1] - self.scale[0]), 1.0)
        shape = (count, len(extents), *[self.points] * len(extents))
        field = torch.randn(shape, generator=generator) * self.bend * chosen[2].view(-1, *[1] * (len(shape) - 1))
        index = chosen.any(dim=0).nonzero().squeeze(1)
        return Warp(index, _matrices(angle, size, extents)[index], field[index])

    def apply(self, batch: Batch, parameters: Warp) -> Batch:
        index = parameters.index
        if not len(index):
            return batch
        image, label = batch.image.clone(), batch.label.clone()
        grid = self._grid(batch.image, parameters)
        on_device = index.to(image.device, non_blocking=True)
        image[on_device] = _sample(batch.image[on_device], grid, "bilinear")
        labeled = int((index < batch.labeled).sum())  # the first ones, in order
        if labeled:
            head = on_device[:labeled]
            label[head] = _sample(batch.label[head].float(), grid[:labeled], "nearest").to(label.dtype)
        return Batch(image, label, batch.index)

    @staticmethod
    def _grid(image: Tensor, warp: Warp) -> Tensor:
        """Where each voxel of the changed samples is taken from, in the units of ``grid_sample``."""
        extents = image.shape[2:]
        theta, field = (part.to(image, non_blocking=True) for part in (warp.theta, warp.bend))
        grid = F.affine_grid(theta, [len(theta), 1, *extents], align_corners=False)
        mode = "trilinear" if len(extents) == 3 else "bilinear"
        field = F.interpolate(field, size=tuple(extents), mode=mode, align_corners=True)
        halves = field.new_tensor([extent / 2 for extent in extents]).view(-1, *[1] * len(extents))
        return grid + (field / halves).flip(1).movedim(1, -1)


def _matrices(angle: Tensor, size: Tensor, extents: torch.Size) -> Tensor:
    """Maps from a voxel to where it is taken from, ``B, D, D + 1``, in half extents, the last axis first."""
    dims = len(extents)
    turn = torch.eye(dims).repeat(len(angle), 1, 1)
    turn[:, 0, 0] = turn[:, 1, 1] = angle.cos()
    turn[:, 0, 1], turn[:, 1, 0] = -angle.sin(), angle.sin()
    halves = torch.tensor([float(extent) for extent in extents])
    turn = turn * halves.view(1, 1, -1) / halves.view(1, -1, 1) / size.view(-1, 1, 1)
    return torch.cat([turn.flip(1, 2), torch.zeros(len(angle), dims, 1)], dim=2)


def _sample(tensor: Tensor, grid: Tensor, mode: str) -> Tensor:
    return F.grid_sample(tensor, grid, mode=mode, padding_mode="border", align_corners=False)
