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


class ScaledBoxMask(RandomBoxMask):
    r"""A box of the image's shape, scaled by a ratio r: sides :math:`\lfloor r n_d \rfloor`, at a random place inside.

    Args:
        ratio: r, inside (0, 1].
        shared: one place for the whole batch instead of one per sample.
        last_place: whether the last voxel of an axis may be covered; it never is in the published codes.

    Source: BCP (Bai et al., CVPR 2023), the zero-centered mask with r = 2/3; IERE's published code, r = 0.66.
    """

    def __init__(self, ratio: float = 2 / 3, shared: bool = True, last_place: bool = True) -> None:
        if not 0 < ratio <= 1:
            raise ValueError(f"ratio must be inside (0, 1], got {ratio}")
        super().__init__((ratio**2, ratio**2), (1.0, 1.0))
        self.ratio, self.shared, self.last_place = ratio, shared, last_place

    def draw(self, count: int, shape: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
        extents = torch.tensor(shape)
        sides = torch.tensor([max(int(extent * self.ratio), 1) for extent in shape])
        places = (extents - sides + int(self.last_place)).clamp(min=1)
        boxes = 1 if self.shared else count
        first = (torch.rand(boxes, len(shape), dtype=torch.float64, generator=generator) * places).long()
        return torch.stack([first, first + sides], dim=1).expand(count, -1, -1)
