"""Ways to resize images and label maps: three rules of the nearest pixel, and filters without aliasing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import require_choice

NEAREST = ("nearest", "nearest_floor", "nearest_corners")
PILLOW = ("pillow_linear", "pillow_lanczos")
RESAMPLES = ("antialias", *NEAREST, *PILLOW)
_FIXED_POINT = 2.0**22  # of Pillow's weights


def resize_nearest(tensor: Tensor, size: Sequence[int], rule: str = "nearest") -> Tensor:
    r"""Resize the spatial axes of ``B, C, spatial...`` to ``size``, each voxel taking the value of one of the input.

    From a to b voxels, voxel i takes number

    * ``nearest``: :math:`\lfloor (i + 1/2) a / b \rfloor`, the one whose place is nearest (``nearest-exact`` of torch;
      Pillow);
    * ``nearest_floor``: :math:`\lfloor i a / b \rfloor` (``nearest`` of torch);
    * ``nearest_corners``: :math:`\lfloor i (a - 1) / (b - 1) + 1/2 \rfloor`, the nearest where the centers of the
      corners stay in place (``scipy.ndimage.zoom`` of order 0).
    """
    require_choice(rule=(rule, NEAREST))
    if tuple(tensor.shape[2:]) == tuple(size):
        return tensor
    if rule == "nearest_corners":
        for axis, (old, new) in enumerate(zip(tensor.shape[2:], size), start=2):
            places = torch.arange(new, dtype=torch.float64) * ((old - 1) / max(new - 1, 1)) + 0.5
            tensor = tensor.index_select(axis, places.long().to(tensor.device))
        return tensor
    mode = "nearest" if rule == "nearest_floor" else "nearest-exact"
    return F.interpolate(tensor.float(), size=tuple(size), mode=mode).to(tensor.dtype)


def resize_image(image: Tensor, size: Sequence[int], resample: str = "antialias") -> Tensor:
    """Resize images ``B, C, H, W`` to ``size``.

    Args:
        image: the images.
        size: extents of the result.
        resample: ``antialias``, linear without aliasing; a rule of ``resize_nearest``; ``pillow_linear`` or
            ``pillow_lanczos``, what Pillow makes of an image in [0, 1] at 256 levels, to the last level.
    """
    require_choice(resample=(resample, RESAMPLES))
    if resample in NEAREST:
        return resize_nearest(image, size, resample)
    if tuple(image.shape[2:]) == tuple(size):
        return image
    if resample in PILLOW:
        return _resize_as_pillow(image, size, resample.removeprefix("pillow_"))
    return F.interpolate(image, size=tuple(size), mode="bilinear", antialias=True)


def resampling_weights(old: int, new: int, kernel: str, dtype: torch.dtype = torch.float32) -> Tensor:
    r"""The matrix ``new, old`` of a resampling without aliasing along one axis.

    .. math:: w_{ij} \propto k\Big(\frac{(i + 1/2) s - j - 1/2}{\max(s, 1)}\Big), \qquad
              s = \frac{\text{old}}{\text{new}}

    Args:
        old: extent before, a number or traced.
        new: extent after.
        kernel: k: ``linear``, the triangle; ``cubic``, Keys' with a = -1/2; ``lanczos``, that of three lobes.
        dtype: of the weights.
    """
    step = torch.ones((), dtype=dtype) * old / new  # a tensor, whether old is a number or traced
    centers = (torch.arange(new, dtype=dtype) + 0.5) * step
    weights = KERNELS[kernel]((centers[:, None] - torch.arange(old) - 0.5).abs() / step.clamp_min(1))
    return weights / weights.sum(dim=1, keepdim=True)


def _cubic(t: Tensor) -> Tensor:
    near, far = (1.5 * t - 2.5) * t * t + 1, ((2.5 - 0.5 * t) * t - 4) * t + 2
    return torch.where(t < 1, near, torch.where(t < 2, far, torch.zeros_like(t)))


KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda t: (1 - t).clamp_min(0),
    "cubic": _cubic,
    "lanczos": lambda t: torch.where(t < 3, torch.sinc(t) * torch.sinc(t / 3), torch.zeros_like(t)),
}


def _resize_as_pillow(image: Tensor, size: Sequence[int], kernel: str) -> Tensor:
    """Both axes one after the other in whole levels of 255, x first, which is the first axis of a picture here."""
    levels = (255 * image.double()).round()
    for axis, (old, new) in enumerate(zip(image.shape[2:], size), start=2):
        if old == new:
            continue
        weights = (resampling_weights(old, new, kernel, torch.float64) * _FIXED_POINT).round().to(image.device)
        sums = torch.movedim(levels, axis, -1) @ weights.T
        levels = (sums / _FIXED_POINT + 0.5).floor().clamp(0, 255).movedim(-1, axis)
    return (levels / 255).to(image.dtype)
