"""Random rectangles, as masks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from common.transforms import RandomBoxMask


class RandomRectangle(RandomBoxMask):
    r"""Random rectangles by SynFoC's rule, wholly inside 2D images.

    Of area :math:`a H W` and aspect ratio r = height / width, the sides are :math:`\lfloor\sqrt{a H W r}\rfloor` and
    :math:`\lfloor\sqrt{a H W / r}\rfloor`; the first corner is uniform in the image, and r and the corner are drawn
    again until the rectangle fits.

    Args:
        share: range of a, inside (0, 1].
        aspect: range of r, uniform.

    Source: SynFoC (CVPR 2025), published code; the rule of CutMix-Seg.
    """

    def __init__(self, share: tuple[float, float] = (0.02, 0.4), aspect: tuple[float, float] = (0.3, 3.33)) -> None:
        super().__init__(share, aspect)
        if share[1] > 0.9 or not aspect[0] <= 1 <= aspect[1]:
            raise ValueError(f"need share <= 0.9 and an aspect range around 1, got {share} and {aspect}")

    def draw(self, count: int, shape: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
        extents = torch.tensor(shape, dtype=torch.float32)
        area = torch.empty(count, 1).uniform_(*self.share, generator=generator) * extents.prod()
        boxes = torch.zeros(count, 2, 2)
        pending = torch.arange(count)
        while len(pending):
            ratio = torch.empty(len(pending), 1).uniform_(*self.aspect, generator=generator)
            sides = torch.cat([area[pending] * ratio, area[pending] / ratio], dim=1).sqrt().floor().clamp(min=1)
            first = (torch.rand(len(pending), 2, generator=generator) * extents).floor()
            fits = (first + sides <= extents).all(dim=1)
            boxes[pending[fits]] = torch.stack([first, first + sides], dim=1)[fits]
            pending = pending[~fits]
        return boxes.long()
