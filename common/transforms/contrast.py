"""Random brightness and contrast of z-scored images."""

from __future__ import annotations

import torch

from .batch import Batch, BatchTransform


class RandomContrast(BatchTransform):
    r"""Another gain and offset for each sample, labeled or not; labels stay.

    .. math:: x \leftarrow (1 + s u) x + \tfrac{s}{2} v, \qquad u, v \sim U(-1, 1)

    Few labeled volumes show few levels of contrast, and a network that learns the levels fails on the others.

    Args:
        strength: s, in (0, 1); for images of deviation 1.
    """

    def __init__(self, strength: float) -> None:
        if not 0 < strength < 1:
            raise ValueError(f"strength must be in (0, 1), got {strength}")
        self.strength = strength

    def draw(self, batch: Batch, generator: torch.Generator | None = None) -> torch.Tensor:
        """u and v of each sample, ``2, B``."""
        return 2 * torch.rand(2, batch.image.shape[0], generator=generator) - 1

    def apply(self, batch: Batch, parameters: torch.Tensor) -> Batch:
        u, v = parameters.to(batch.image).view(2, -1, *[1] * (batch.image.dim() - 1))
        image = (1 + self.strength * u) * batch.image + self.strength / 2 * v
        return Batch(image, batch.label, batch.index)
