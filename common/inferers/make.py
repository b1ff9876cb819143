"""The inferer that suits the patch."""

from __future__ import annotations

from collections.abc import Sequence

from monai.inferers import Inferer

from ..networks.make import dimensions
from .slicewise import SliceWiseInferer
from .sliding_window import SlidingWindowInferer


def make_inferer(
    patch_size: Sequence[int],
    stride: Sequence[int] | str,
    amp: bool | str = "auto",
    softmax: bool = True,
    stride_factor: float = 1,
) -> Inferer:
    """``SlidingWindowInferer`` for patches of three extents; ``SliceWiseInferer``, which has no stride, for slices."""
    if dimensions(patch_size) == 2:
        return SliceWiseInferer(patch_size, amp=amp, softmax=softmax)
    return SlidingWindowInferer(patch_size, stride, amp=amp, softmax=softmax, stride_factor=stride_factor)
