"""From decoded cases to a stacked batch: the part of a volume, or the whole slice, that the network sees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from monai.transforms.utils import map_classes_to_indices
from torch import Tensor
from torch.nn import functional as F
from torch.utils.weak import WeakTensorKeyDictionary

from ..errors import require_choice
from .resize import RESAMPLES, resize_image

PER_CLASS = 10_000  # voxels of each class that are remembered of a label, evenly spread over all of them


class RandomPatch:
    """Cut one random patch per case; a case smaller than the patch is padded symmetrically.

    Args:
        size: extents of the patch, e.g. ``[112, 112, 80]``.
        pad_value: value of the padding in the image (labels get 0). 0 in all published protocols, also where 0 is
            not background.
        official: reproduce the published sampler: as soon as one extent is no larger than the patch, every extent is
            padded by ``max((patch - extent) // 2 + 3, 0)`` per side, and the last valid start is never drawn.
        foreground: share of labeled patches, 0 to 1, that are laid around a voxel of foreground: of a class drawn
            evenly from those in the label, and as close to the middle as the case reaches. The other patches, and those
            of cases without a label, lie anywhere.

    Source of ``foreground``: F. Isensee et al., nnU-Net (Nature Methods 2021), which takes a third of each batch.
    """

    def __init__(
        self, size: Sequence[int], pad_value: float = 0.0, official: bool = False, foreground: float = 0.0
    ) -> None:
        self.size, self.pad_value, self.official, self.foreground = tuple(size), pad_value, official, foreground
        self.known = WeakTensorKeyDictionary()  # labels, which data sets keep, and where their classes are

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
        return [int(torch.randint(count, (1,), generator=generator)) for count in self.positions(shape)]

    def positions(self, shape: Sequence[int]) -> list[int]:
        """How many starts there are along each axis."""
        sides = zip(shape, self.size, self.padding(shape))
        return [max(extent + sum(added) - patch + (not self.official), 1) for extent, patch, added in sides]

    def around(self, label: Tensor, generator: torch.Generator | None = None) -> list[int] | None:
        """Start of a patch around a voxel of foreground of a label ``1, spatial...``; ``None`` where there is none."""
        if label not in self.known:
            places = map_classes_to_indices(label, int(label.max()) + 1, max_samples_per_class=PER_CLASS)[1:]
            self.known[label] = [place for place in places if len(place)]
        classes = self.known[label]
        if not classes:
            return None
        voxels = classes[int(torch.randint(len(classes), (1,), generator=generator))]
        voxel = int(voxels[int(torch.randint(len(voxels), (1,), generator=generator))])
        shape = label.shape[1:]
        axes = zip(np.unravel_index(voxel, shape), self.size, self.padding(shape), self.positions(shape))
        return [min(max(int(at) + before - side // 2, 0), count - 1) for at, side, (before, _), count in axes]

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
        if self.foreground and "label" in case and float(torch.rand(1, generator=generator)) < self.foreground:
            starts = self.around(case["label"], generator) or starts
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
