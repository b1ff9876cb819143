"""From decoded cases to a stacked batch: the part of a volume, or the whole slice, that the network sees."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import require_choice
from .resize import RESAMPLES, resize_image


class RandomPatch:
    """Cut one random patch per case; a case smaller than the patch is padded symmetrically.

    Args:
        size: extents of the patch, e.g. ``[112, 112, 80]``.
        pad_value: value of the padding in the image (labels get 0). 0 in all published protocols, also where 0 is
            not background.
        official: reproduce the published sampler: as soon as one extent is no larger than the patch, every extent is
            padded by ``max((patch - extent) // 2 + 3, 0)`` per side, and the last valid start is never drawn.
    """

    def __init__(self, size: Sequence[int], pad_value: float = 0.0, official: bool = False) -> None:
        self.size, self.pad_value, self.official = tuple(size), pad_value, official

    def padding(self, shape: Sequence[int]) -> list[tuple[int, int]]:
        """Voxels to add before and after each axis."""
        if self.official:
            if all(extent > patch for extent, patch in zip(shape, self.size)):
                return [(0, 0)] * len(self.size)
            return [(max((p - s) // 2 + 3, 0),) * 2 for s, p in zip(shape, self.size)]
        missing = [max(p - s, 0) for s, p in zip(shape, self.size)]
        return [(m // 2, m - m // 2) for m in missing]

    def draw(self, shape: Sequence[int], generator: torch.Generator | None = None) -> list[int]:
        """Start of the patch along each axis of the padded case, uniform over the valid positions."""
        starts = []
        for extent, patch, (before, after) in zip(shape, self.size, self.padding(shape)):
            positions = extent + before + after - patch + (0 if self.official else 1)
            starts.append(int(torch.randint(max(positions, 1), (1,), generator=generator)))
        return starts

    def apply(self, tensor: Tensor, starts: Sequence[int], value: float = 0.0) -> Tensor:
        """Cut ``C, spatial...`` at ``starts`` (in padded coordinates), touching no voxel outside the patch."""
        shape = tensor.shape[1:]
        index, fill = [slice(None)], list[int]()
        for extent, patch, start, (before, _) in zip(shape, self.size, starts, self.padding(shape)):
            first, last = start - before, start - before + patch
            index.append(slice(max(first, 0), min(last, extent)))
            fill = [max(-first, 0), max(last - extent, 0), *fill]
        return F.pad(tensor[tuple(index)], fill, value=value) if any(fill) else tensor[tuple(index)]

    def __call__(self, case: dict[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        starts = self.draw(case["image"].shape[1:], generator)
        values = {"image": self.pad_value}
        return {k: self.apply(v, starts, values.get(k, 0.0)) for k, v in case.items() if isinstance(v, Tensor)}


class ResizedSlice:
    """Resize a whole slice to one size, labels always to the nearest pixel.

    Args:
        size: extents of the result, e.g. ``[256, 256]``.
        resample: of images, see ``resize_image``: ``nearest`` (ACDC protocol), ``antialias`` or another.
    """

    def __init__(self, size: Sequence[int], resample: str = "nearest") -> None:
        require_choice(resample=(resample, RESAMPLES))
        self.size, self.resample = tuple(size), resample

    def __call__(self, case: dict[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        resamples = {"image": self.resample}
        return {
            k: resize_image(v[None], self.size, resamples.get(k, "nearest"))[0]
            for k, v in case.items()
            if isinstance(v, Tensor)
        }

    def image(self, images: Tensor) -> Tensor:
        """Images ``B, C, H, W`` at the size."""
        return resize_image(images, self.size, self.resample)
