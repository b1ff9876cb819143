"""Normalization of 2D networks by its name."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..errors import InputError, require_choice

NORMS = ("batch", "group", "instance")
GROUPS = 8


def monai_norm(kind: str) -> tuple[str, dict[str, Any]]:
    """A normalization with scale and shift, as MONAI's networks take it."""
    require_choice(norm=(kind, NORMS))
    return (kind, {"num_groups": GROUPS} if kind == "group" else {"affine": True})


def make_norm(kind: str, channels: int) -> nn.Module:
    """A layer of normalization, with scale and shift, of ``B, C, H, W``.

    Args:
        kind: ``batch``; ``group``, of 8 groups; ``instance``. The latter two see one image and need no statistics.
        channels: C, a multiple of 8 for ``group``.

    Raises:
        InputError: for other channels.

    Source: Ioffe and Szegedy, 2015; Wu and He, 2018; Ulyanov et al., 2016.
    """
    require_choice(norm=(kind, NORMS))
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    require_groups(channels)
    return nn.GroupNorm(GROUPS, channels)


def require_groups(channels: int, norm: str = "group") -> None:
    """Raise ``InputError`` where groups do not divide so many channels."""
    if norm == "group" and channels % GROUPS:
        raise InputError(f"norm=group: base_channels must be a multiple of {GROUPS}, got {channels}")
