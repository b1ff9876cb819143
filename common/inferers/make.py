"""The inferer that suits the patch."""

from __future__ import annotations

from collections.abc import Sequence

from monai.inferers import Inferer

from ..errors import require_choice
from ..networks.make import dimensions
from ..transforms.make import SLICE_FITS
from .slicewise import SliceWiseInferer
from .sliding_window import SlidingWindowInferer, WindowsOfSlices

SLICES = 16  # windows of slices per forward


def make_inferer(
    patch_size: Sequence[int],
    stride: Sequence[int] | str,
    amp: bool | str = "auto",
    softmax: bool = True,
    stride_factor: float = 1,
    slice_fit: str = "resize",
) -> Inferer:
    """``SlidingWindowInferer`` for patches of three extents; ``SliceWiseInferer``, which has no stride, for slices.

    Slices that keep their pixels (``slice_fit`` ``patch``) are seen by windows, half a window apart where the stride
    is that of volumes.
    """
    require_choice(slice_fit=(slice_fit, SLICE_FITS))
    if dimensions(patch_size) == 2 and slice_fit == "patch":
        steps = stride if isinstance(stride, str) or len(stride) == 2 else [side // 2 for side in patch_size]
        return WindowsOfSlices(patch_size, steps, SLICES, amp=amp, softmax=softmax, stride_factor=stride_factor)
    if dimensions(patch_size) == 2:
        return SliceWiseInferer(patch_size, amp=amp, softmax=softmax)
    return SlidingWindowInferer(patch_size, stride, amp=amp, softmax=softmax, stride_factor=stride_factor)
