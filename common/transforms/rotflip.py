"""Rotations by 90 degrees and flips in the plane of the first two spatial axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import require_choice
from .batch import Batch, BatchTransform

MODES = ("full_d4", "official", "mirrors")


class RandomRotFlip(BatchTransform):
    """One random symmetry of the square per sample, in the plane of the first two spatial axes.

    Args:
        mode: ``full_d4`` draws uniformly from all eight symmetries. ``official`` reproduces published code: k
            quarter turns, then always a flip, so that only the four reflections occur and never the identity.
            ``mirrors`` draws uniformly from the four of any rectangle: either axis is mirrored or not.
    """

    def __init__(self, mode: str = "full_d4") -> None:
        require_choice(mode=(mode, MODES))
        self.mode = mode

    def draw(self, batch: Batch, generator: torch.Generator | None = None) -> list[tuple[int, int]]:
        """Per sample the quarter turns and the axis to flip (-1: none)."""
        return self._drawn(batch.image.shape[0], generator)

    def gather(
        self, images: Sequence[Tensor], labels: Sequence[Tensor], generator: torch.Generator | None = None
    ) -> Batch:
        drawn = self._drawn(len(images), generator)
        return Batch(_turned(images, drawn), _turned(labels, drawn[: len(labels)]))

    def _drawn(self, count: int, generator: torch.Generator | None) -> list[tuple[int, int]]:
        chosen = []
        for _ in range(count):
            turns = int(torch.randint(4, (1,), generator=generator))
            turns = 2 * (turns % 2) if self.mode == "mirrors" else turns
            axis = int(torch.randint(2, (1,), generator=generator))
            chosen.append((turns, axis if self.mode == "official" else axis - 1))
        return chosen

    def apply(self, batch: Batch, parameters: list[tuple[int, int]]) -> Batch:
        return Batch(_turned(batch.image, parameters), _turned(batch.label, parameters[: batch.labeled]))


def _turned(samples: Tensor | Sequence[Tensor], parameters: Sequence[tuple[int, int]]) -> Tensor:
    """Samples ``C, spatial...``, each turned and flipped, as one new tensor; on a CPU written once."""
    if isinstance(samples, Tensor) and not len(samples):
        return samples
    shape = samples[0].shape
    if any(turns % 2 for turns, _ in parameters) and shape[1] != shape[2]:
        raise ValueError(f"RandomRotFlip needs a square first plane, got {tuple(shape[1:])}")
    if not all(map(_has_view, samples)):
        turned = [torch.rot90(sample, turns, (1, 2)) for sample, (turns, _) in zip(samples, parameters)]
        return torch.stack([s if axis < 0 else s.flip(axis + 1) for s, (_, axis) in zip(turned, parameters)])
    result = torch.empty((len(samples), *shape), dtype=samples[0].dtype)
    for place, sample, (turns, axis) in zip(result.numpy(), samples, parameters, strict=True):
        view = np.rot90(sample.numpy(), turns, (1, 2))  # views until here, torch's would be copies
        np.copyto(place, view if axis < 0 else np.flip(view, axis + 1))
    return result


def _has_view(sample: Tensor) -> bool:
    """Whether numpy can look at it."""
    return sample.device.type == "cpu" and not sample.requires_grad and sample.dtype != torch.bfloat16
