"""What the student stage samples: crops, and the slices that they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Views:
    """Slices, labeled or unlabeled, and the crops that were sampled from them.

    Attributes:
        slices: ``B, C, H, W``.
        crops: ``B, C, h, w``, with their random contrast.
        theta: maps that sampled the crops, ``B, 2, 3``.
        index: places of the slices among their cases.
    """

    slices: Tensor
    crops: Tensor
    theta: Tensor
    index: Sequence[int]

    def part(self, some: slice) -> Views:
        """Some of them."""
        return Views(self.slices[some], self.crops[some], self.theta[some], self.index[some])
