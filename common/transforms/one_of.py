"""A different augmentation for each sample of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .batch import Batch, BatchTransform


class OneOf(BatchTransform):
    """Give every sample one of several transforms, or none.

    Args:
        transforms: the alternatives; each must keep the shape.
        probabilities: of the alternatives; what is missing to 1 leaves the sample alone. The ACDC protocol is a
            rotation by quarter turns with a flip (1/2), a small rotation (1/4) or nothing.
    """

    def __init__(self, transforms: Sequence[BatchTransform], probabilities: Sequence[float]) -> None:
        if len(transforms) != len(probabilities) or min(probabilities) < 0 or sum(probabilities) > 1 + 1e-9:
            raise ValueError(f"need one probability per transform, at most 1 in all, got {list(probabilities)}")
        self.transforms, self.probabilities = tuple(transforms), tuple(probabilities)

    def draw(self, batch: Batch, generator: torch.Generator | None = None) -> list[tuple[Tensor, Any]]:
        """Per transform the indices of its samples and its parameters for them."""
        edges = torch.tensor(self.probabilities).cumsum(0)
        choice = torch.bucketize(torch.rand(batch.image.shape[0], generator=generator), edges, right=True)
        drawn = []
        for number, transform in enumerate(self.transforms):
            index = (choice == number).nonzero().squeeze(1)
            drawn.append((index, transform.draw(_part(batch, index), generator) if len(index) else None))
        return drawn

    def apply(self, batch: Batch, parameters: list[tuple[Tensor, Any]]) -> Batch:
        image, label = batch.image.clone(), batch.label.clone()
        for transform, (index, drawn) in zip(self.transforms, parameters):
            if len(index):
                part = transform.apply(_part(batch, index), drawn)
                image[index.to(image.device)] = part.image
                label[index[index < batch.labeled].to(label.device)] = part.label
        return Batch(image, label)


def _part(batch: Batch, index: Tensor) -> Batch:
    labeled = index[index < batch.labeled]
    return Batch(batch.image[index.to(batch.image.device)], batch.label[labeled.to(batch.label.device)])
