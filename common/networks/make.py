"""The network of the semi-supervised community that suits the patch."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ..errors import InputError
from .unet2d import UNet2D
from .vnet import VNet


def make_network(
    patch_size: Sequence[int],
    in_channels: int,
    out_channels: int,
    base_channels: int = 16,
    dropout: float = 0.5,
    norm: str = "batch",
) -> nn.Module:
    """``VNet`` for patches of three extents, ``UNet2D`` for slices; ``norm`` is the latter's."""
    if dimensions(patch_size) == 2:
        return UNet2D(in_channels, out_channels, base_channels, dropout, norm)
    if norm != "batch":
        raise InputError(f"norm={norm}: the V-Net has batch norm; only networks for slices have a choice")
    return VNet(in_channels, out_channels, base_channels, dropout)


def dimensions(patch_size: Sequence[int]) -> int:
    """2 or 3, the number of extents of a patch; ``InputError`` for anything else."""
    if not isinstance(patch_size, (list, tuple)) or len(patch_size) not in (2, 3):
        raise InputError(f"patch_size={patch_size!r}: expected three extents, or two for slices")
    return len(patch_size)
