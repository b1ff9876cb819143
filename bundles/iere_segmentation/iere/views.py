"""What the student stage samples: crops, the slices that they come from, and the pasted square."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from common.transforms import RandomBoxMask


@dataclass(frozen=True)
class Views:
    """Unlabeled slices and the crops that were sampled from them.

    Attributes:
        slices: ``B, C, H, W``.
        crops: ``B, C, h, w``, with their random contrast.
        theta: maps that sampled the crops, ``B, 2, 3``.
        index: places of the slices among the unlabeled cases.
    """

    slices: Tensor
    crops: Tensor
    theta: Tensor
    index: Sequence[int]


class SquareMask(RandomBoxMask):
    r"""The image's shape, scaled by a ratio r, at a random place: extents :math:`\lfloor r H \rfloor`, wholly inside.

    Args:
        ratio: r, inside (0, 1].
        shared: one place for the whole batch instead of one per sample.
        last_place: whether the last row and the last column may be covered; they never are in the published code.

    Source: IERE's published code.
    """

    def __init__(self, ratio: float = 0.66, shared: bool = True, last_place: bool = True) -> None:
        super().__init__((ratio**2, ratio**2), (1.0, 1.0))
        self.ratio, self.shared, self.last_place = ratio, shared, last_place

    def draw(self, count: int, shape: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
        extents = torch.tensor(shape)
        sides = torch.tensor([max(int(extent * self.ratio), 1) for extent in shape])
        places = (extents - sides + int(self.last_place)).clamp(min=1)
        boxes = 1 if self.shared else count
        first = (torch.rand(boxes, len(shape), dtype=torch.float64, generator=generator) * places).long()
        return torch.stack([first, first + sides], dim=1).expand(count, -1, -1)
