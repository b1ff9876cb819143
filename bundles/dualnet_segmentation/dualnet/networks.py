"""The two networks that DualNet trains, and what it deploys of them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from common.errors import require_choice
from common.networks import UNet2D, VNet, dimensions

from .ensemble import MeanSoftmax
from .resnet_vnet import ResNetVNet


def make_networks(
    patch_size: Sequence[int],
    in_channels: int,
    out_channels: int,
    base_channels: int = 16,
    dropout: float | None = None,
    disagreement: bool = False,
    init: str = "kaiming_normal",
) -> MeanSoftmax:
    """Both networks as one: for patches of three extents a ResNet and a V-Net, for slices two U-Nets that start apart.

    ``dropout`` and ``disagreement``: see ``MeanSoftmax``; ``init``: of networks for volumes, see ``VNet``.
    """
    sizes = (in_channels, out_channels, base_channels)
    if dimensions(patch_size) == 2:
        networks: list[nn.Module] = [UNet2D(*sizes), UNet2D(*sizes)]
    else:
        networks = [ResNetVNet(*sizes, init=init), VNet(*sizes, init=init)]
    return MeanSoftmax(networks, dropout, disagreement)


def member_of(networks: MeanSoftmax, member: int | None = None) -> nn.Module:
    """One of the two networks, which returns logits, or for ``None`` both, which return probabilities."""
    require_choice(member=(member, (None, 0, 1)))
    return networks if member is None else networks.networks[member]
