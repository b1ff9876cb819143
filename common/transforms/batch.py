"""The batch that travels from the loader to the objective, and what changes one on the device.

Everything random here and in the mixers takes a ``generator`` as the last argument of ``draw`` and of the call, and
draws on the host from it alone; without one it draws from torch's global generator, which a resumed run restores.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass
class Batch:
    """Labeled samples first, then unlabeled ones.

    Attributes:
        image: ``B, C, spatial...`` float32, ``B = n_labeled + n_unlabeled``.
        label: ``n_labeled, 1, spatial...`` uint8 class indices.
        index: place of each sample in its data set, labeled or unlabeled, on the host; the loader sets it.
    """

    image: Tensor
    label: Tensor
    index: tuple[int, ...] = ()

    @property
    def labeled(self) -> int:
        """Number of labeled samples, the head of ``image``."""
        return self.label.shape[0]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        image, label = (part.to(device, non_blocking=non_blocking) for part in (self.image, self.label))
        return Batch(image, label, self.index)


def stacked(images: Sequence[Tensor], labels: Sequence[Tensor]) -> Batch:
    """The batch of samples ``C, spatial...`` of one shape, the labeled ones first."""
    return Batch(torch.stack(list(images)), torch.stack(list(labels)))


class BatchTransform(ABC):
    """A random augmentation of a whole batch: ``draw`` the parameters on the host, then ``apply`` them on the device.

    Image and label of a sample get the same parameters, and all randomness comes from the generator given (torch's
    global one by default), so a restored generator reproduces the batch.
    """

    @abstractmethod
    def draw(self, batch: Batch, generator: torch.Generator | None = None) -> Any:
        """Random parameters of every sample of ``batch``."""

    @abstractmethod
    def apply(self, batch: Batch, parameters: Any) -> Batch:
        """The augmented batch."""

    def gather(
        self, images: Sequence[Tensor], labels: Sequence[Tensor], generator: torch.Generator | None = None
    ) -> Batch:
        """The augmented batch of samples ``C, spatial...`` of one shape, the labeled ones first."""
        return self(stacked(images, labels), generator)

    def __call__(self, batch: Batch, generator: torch.Generator | None = None) -> Batch:
        return self.apply(batch, self.draw(batch, generator))
