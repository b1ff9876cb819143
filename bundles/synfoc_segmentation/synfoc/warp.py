"""Scaling, rotation, flip and elastic deformation of 2D samples in one resampling."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from common.transforms import Batch, BatchTransform

_NODES = 64  # of the elastic field per axis; it varies over 8 % of the image, five nodes


class RandomWarp2D(BatchTransform):
    r"""Random geometry of each sample, composed into one ``grid_sample``: images linear, labels nearest, zeros outside.

    The value at an output place x, in coordinates from -1 to 1, comes from

    .. math:: S R F (x + d(x)) + c

    with an elastic displacement d, a horizontal flip F, a rotation R, and a magnification that S and c undo: the
    order of the published code, which resamples four times on the CPU. Each of the four happens with ``probability``.

    Args:
        scale: each axis is magnified by up to this factor, and a window of the original size cut at a random place.
        degrees: rotations by a whole number of degrees within plus or minus this.
        flip_axis: spatial axis that is mirrored: 0 is horizontal for pictures, which MONAI reads transposed; ``None``
            for no mirroring.
        elastic: standard deviation of d along each axis as a share of the image (0.008: 4 pixels of 512).
        correlation: Gaussian width that smooths d, as a share of the image.
        probability: of each of the four.

    Source: SynFoC (CVPR 2025), published code; its elastic field measured and reproduced in distribution.
    """

    def __init__(
        self,
        scale: float = 1.5,
        degrees: int = 20,
        flip_axis: int | None = 0,
        elastic: float = 0.008,
        correlation: float = 0.08,
        probability: float = 0.5,
    ) -> None:
        if scale < 1 or correlation <= 0 or not 0 <= probability <= 1:
            given = f"{scale}, {correlation} and {probability}"
            raise ValueError(f"need scale >= 1, correlation > 0 and probability in [0, 1], got {given}")
        self.scale, self.degrees, self.flip_axis = scale, degrees, flip_axis
        self.elastic, self.probability = elastic, probability
        place = torch.arange(_NODES) / _NODES
        kernel = torch.exp(-0.5 * ((place[:, None] - place) / correlation).square())
        self.smooth = kernel / kernel.norm(dim=1, keepdim=True)  # keeps the variance of white noise everywhere

    def draw(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Per sample the magnification, window, angle and mirroring, and the white noise behind d (or zeros)."""
        count = batch.image.shape[0]

        def rand(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator)

        happens = (rand(4, count) < self.probability).float()
        magnified = 1 + happens[0, :, None] * rand(count, 2) * (self.scale - 1)
        degrees = torch.randint(-self.degrees, self.degrees + 1, (count,), generator=generator)
        noise = torch.randn(count, 2, _NODES, _NODES, generator=generator)
        return {
            "shrink": 1 / magnified,
            "shift": (1 - 1 / magnified) * (2 * rand(count, 2) - 1),
            "angle": happens[1] * degrees * (math.pi / 180),
            "mirror": 1 - 2 * happens[2],
            "noise": happens[3].view(-1, 1, 1, 1) * noise,
        }

    def apply(self, batch: Batch, parameters: dict[str, Tensor]) -> Batch:
        grid = self.grid(batch.image, parameters)
        image = F.grid_sample(batch.image, grid, mode="bilinear", align_corners=False)
        if not batch.labeled:
            return Batch(image, batch.label)
        label = F.grid_sample(batch.label.float(), grid[: batch.labeled], mode="nearest", align_corners=False)
        return Batch(image, label.to(batch.label.dtype))

    def grid(self, image: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        """Sampling places ``B, H, W, 2`` in [-1, 1], second spatial axis first as ``grid_sample`` wants."""
        height, width = image.shape[2:]
        p = {name: value.to(image) for name, value in parameters.items()}
        smooth = self.smooth.to(image)
        field = 2 * self.elastic * (smooth @ p["noise"] @ smooth.T)
        field = F.interpolate(field, size=(height, width), mode="bilinear", align_corners=False)
        identity = torch.eye(2, 3).to(image).expand(len(image), -1, -1)
        base = F.affine_grid(identity, list(image.shape), align_corners=False)
        return (base + field.movedim(1, -1)) @ self._matrix(p, height, width).mT[:, None] + p["shift"][:, None, None]

    def _matrix(self, p: dict[str, Tensor], height: int, width: int) -> Tensor:
        """S R F, ``B, 2, 2``."""
        cos, sin = p["angle"].cos(), p["angle"].sin()
        # coordinates are in half extents, so the off-diagonal terms carry the aspect ratio
        turn = torch.stack([cos, -sin * height / width, sin * width / height, cos], dim=1).view(-1, 2, 2)
        mirrors = torch.ones_like(p["shift"])
        if self.flip_axis is not None:
            mirrors[:, 1 - self.flip_axis] = p["mirror"]
        return p["shrink"][:, :, None] * turn * mirrors[:, None, :]
