"""Mixing of two batches by a mask: what belongs to a sample travels with it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import InputError
from .batch import Batch
from .box_mask import RandomBoxMask


def paste(mask: Tensor, inside: Tensor, outside: Tensor) -> Tensor:
    """``inside`` where ``mask`` (``B, 1, spatial``) is set, else ``outside``; these are ``B[, C], spatial``."""
    if inside.dim() == mask.dim() - 1:
        mask = mask.squeeze(1)
    return torch.where(mask, inside, outside)


def unlabeled_of_halves(batch: Batch) -> int:
    """Number of unlabeled samples of a batch whose halves are mixed with each other.

    Raises:
        InputError: unless the labeled samples are even in number, and the unlabeled ones as many or none.
    """
    labeled, unlabeled = batch.labeled, len(batch.image) - batch.labeled
    if labeled % 2 or unlabeled not in (0, labeled):
        raise InputError(
            f"labeled_batch={labeled}, unlabeled_batch={unlabeled}: mixing halves needs an even number of labeled "
            "images and as many unlabeled ones, or none"
        )
    return unlabeled


class CopyPaste:
    r"""Bidirectional copy-paste: each of two batches receives a box of the other.

    .. math:: x_1 = M \odot b + (1 - M) \odot a, \qquad x_2 = M \odot a + (1 - M) \odot b

    Images, targets and weight maps are mixed by the same masks.

    Args:
        box: generator of the masks M.

    Source: Bai et al., CVPR 2023 (BCP), equations 1 to 3.
    """

    def __init__(self, box: RandomBoxMask) -> None:
        self.box = box

    def __call__(
        self,
        first: Sequence[Tensor],
        second: Sequence[Tensor],
        mask: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Mix the tensors of two batches pairwise.

        Args:
            first: image ``B, C, spatial``, then any maps ``B, ...`` that belong to it (target, weights).
            second: the same of the other batch, of the same size.
            mask: ``B, 1, spatial``; drawn where not given.
            generator: of the mask.

        Raises:
            ValueError: when the batches differ in size.
        """
        if first[0].shape != second[0].shape:
            raise ValueError(f"batches of {tuple(first[0].shape)} and {tuple(second[0].shape)} cannot be mixed")
        mask = self.box(first[0], generator) if mask is None else mask
        pairs = list(zip(first, second, strict=True))
        return [paste(mask, b, a) for a, b in pairs], [paste(mask, a, b) for a, b in pairs]


class CutMix:
    """Copy a box of a random partner of the same batch into each sample (Yun et al., ICCV 2019).

    Args:
        box: generator of the masks.
    """

    def __init__(self, box: RandomBoxMask) -> None:
        self.box = box

    def __call__(self, tensors: Sequence[Tensor], generator: torch.Generator | None = None) -> list[Tensor]:
        """Mix image ``B, C, spatial`` and the maps that belong to it."""
        partner = torch.randperm(tensors[0].shape[0], generator=generator)
        mask = self.box(tensors[0], generator)
        return [paste(mask, tensor[partner.to(tensor.device)], tensor) for tensor in tensors]
