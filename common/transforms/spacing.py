"""Resampling that leaves other entries of a case alone."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from monai.transforms import Spacingd
from torch import Tensor


class SpacingOfKeysd(Spacingd):
    """MONAI's ``Spacingd``, seeing nothing but its keys.

    MONAI 1.6 takes every entry whose name starts with ``image_`` for metadata of the entry ``image`` and updates it; on
    the path that MONAI Label keeps in ``image_path`` it fails.
    """

    def __call__(self, data: Mapping[Hashable, Tensor], lazy: bool | None = None) -> dict[Hashable, Tensor]:
        own = {key: data[key] for key in self.keys if key in data}
        return {**data, **super().__call__(own, lazy)}
