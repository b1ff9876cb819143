"""Volumes, slice by slice."""

from __future__ import annotations

import torch
from torch import Tensor

from .promptable import BoxRefiner
from .prompts import keep_ungrouped


@torch.no_grad()
def refine_volume(refiner: BoxRefiner, image: Tensor, labels: Tensor, batch: int = 4) -> Tensor:
    """Refine the label map of a volume by the boxes of its slices.

    Slices that give no prompt are not encoded, and have what no group contains alone.

    Args:
        refiner: brings SAM, its convention and the groups of classes.
        image: ``C, H, W, D``, one or three channels; slices lie along D.
        labels: ``H, W, D``.
        batch: slices encoded at once.

    Returns:
        The refined label map ``H, W, D``.
    """
    slices, maps = image.movedim(-1, 0), labels.movedim(-1, 0)
    prompted = refiner.prompts(maps, refiner.frame(slices.shape[2:]))[1].flatten(1).any(dim=1)
    result = keep_ungrouped(torch.zeros_like(maps), maps, refiner.groups)
    for index in prompted.nonzero().flatten().split(batch):
        result[index] = refiner(slices[index], maps[index]).label.to(result)
    return result.movedim(0, -1)
