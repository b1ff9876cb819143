"""Rotations by 90 degrees and flips in the plane of the first two spatial axes."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import require_choice
from .batch import Batch, BatchTransform

MODES = ("full_d4", "official")


class RandomRotFlip(BatchTransform):
    """One random symmetry of the square per sample, in the plane of the first two spatial axes.

    Args:
        mode: ``full_d4`` draws uniformly from all eight symmetries. ``official`` reproduces published code: k
            quarter turns, then always a flip, so that only the four reflections occur and never the identity.
    """

    def __init__(self, mode: str = "full_d4") -> None:
        require_choice(mode=(mode, MODES))
        self.mode = mode

    def draw(self, batch: Batch, generator: torch.Generator | None = None) -> list[tuple[int, int]]:
        """Per sample the quarter turns and the axis to flip (-1: none)."""
        chosen = []
        for _ in range(batch.image.shape[0]):
            turns = int(torch.randint(4, (1,), generator=generator))
            axis = int(torch.randint(2, (1,), generator=generator))
            chosen.append((turns, axis if self.mode == "official" else axis - 1))
        return chosen

    def apply(self, batch: Batch, parameters: list[tuple[int, int]]) -> Batch:
        return Batch(self._turn(batch.image, parameters), self._turn(batch.label, parameters[: batch.labeled]))

    @staticmethod
    def _turn(tensor: Tensor, parameters: list[tuple[int, int]]) -> Tensor:
        if any(turns % 2 for turns, _ in parameters) and tensor.shape[2] != tensor.shape[3]:
            raise ValueError(f"RandomRotFlip needs a square first plane, got {tuple(tensor.shape[2:])}")
        samples = [torch.rot90(sample, turns, (1, 2)) for sample, (turns, _) in zip(tensor, parameters)]
        samples = [s if axis < 0 else s.flip(axis + 1) for s, (_, axis) in zip(samples, parameters)]
        return torch.stack(samples) if samples else tensor
