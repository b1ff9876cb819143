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
    pooling: Sequence[int] | None = None,
) -> nn.Module:
    """``VNet`` for patches of three extents, whose ``pooling`` is, ``UNet2D`` for slices, whose ``norm`` is."""
    if dimensions(patch_size) == 2:
        if pooling is not None:
            raise InputError(f"pooling={list(pooling)}: only the network for volumes has a choice")
        return UNet2D(in_channels, out_channels, base_channels, dropout, norm)
    if norm != "batch":
        raise InputError(f"norm={norm}: the V-Net has batch norm; only networks for slices have a choice")
    return VNet(in_channels, out_channels, base_channels, dropout, pooling=pooling)


def dimensions(patch_size: Sequence[int]) -> int:
    """2 or 3, the number of extents of a patch; ``InputError`` for anything else."""
    if not isinstance(patch_size, (list, tuple)) or len(patch_size) not in (2, 3):
        raise InputError(f"patch_size={patch_size!r}: expected three extents, or two for slices")
    return len(patch_size)
