"""Whole volumes through a network, and the measures of their results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from monai.inferers import SlidingWindowInferer as StockInferer

from common.inferers import SlidingWindowInferer
from common.inferers.sliding_window import overlaps
from common.metrics import surface_distances
from common.networks import VNet

from . import references
from .contest import Contest, times, without_gradient

ATRIUM = (190, 140, 88)  # median extents of the left atrium's volumes


def windows(
    device: str,
    shape: Sequence[int] = (144, 144, 96),
    window: Sequence[int] = (112, 112, 80),
    channels: int = 16,
    amp: bool | str = False,
    tolerance: float = 1e-5,
    stride: Sequence[int] | None = None,
) -> Contest:
    """Sliding window in float32: one at a time, averaged on the host -> prepared network, averaged on the device"""
    network, image = VNet(base_channels=channels).eval().to(device), torch.randn(1, 1, *shape, device=device)
    steps = stride or [extent // 2 for extent in window]
    inferer, stock = SlidingWindowInferer(window, steps, amp=amp), StockInferer(window, 4, overlaps(window, steps))
    return Contest(
        f"V-Net of {channels} channels, {times(shape)}, window {times(window)}, stride {times(steps)}",
        without_gradient(lambda: references.sliding_window(image, network, window, steps)[:1]),
        without_gradient(lambda: [inferer(image, network)]),
        tolerance,
        without_gradient(lambda: [stock(image, lambda part: network(part).softmax(dim=1))]),
    )


def volume(device: str, stride: Sequence[int] = (18, 18, 4), **sizes: Any) -> Contest:
    """A left atrium volume at the published stride, in float32: one window at a time -> prepared network"""
    return windows(device, **{"shape": ATRIUM, "stride": stride, **sizes})


def precision(device: str, **sizes: Any) -> Contest:
    """Sliding window with the number type that this machine chooses: float32 loop -> prepared network"""
    return windows(device, **sizes, amp="auto", tolerance=0.05)


def fast(device: str, stride: Sequence[int] = (18, 18, 4), **sizes: Any) -> Contest:
    """A left atrium volume in float32, not the same result: published stride -> stride fast"""
    contest = volume(device, stride, **sizes)
    network = VNet(base_channels=sizes.get("channels", 16)).eval().to(device)
    image = torch.randn(1, 1, *sizes.get("shape", ATRIUM), device=device)
    inferer = SlidingWindowInferer(sizes.get("window", (112, 112, 80)), "fast", amp=False)
    ours = without_gradient(lambda: [inferer(image, network)])
    return Contest(contest.work, contest.reference, ours, math.inf)


def surfaces(device: str, shape: Sequence[int] = (48, 44, 40), spacing: Sequence[float] = (1.25, 1.25, 2.0)) -> Contest:
    """95HD and ASD on the host: all pairs of surface voxels -> distance transforms"""
    place = torch.stack(torch.meshgrid(*(torch.linspace(-1, 1, extent) for extent in shape), indexing="ij"), dim=-1)
    a, b = ((place - shift).square().sum(dim=-1).numpy() < 0.5 for shift in (0.0, 0.1))
    return Contest(
        f"two balls in {times(shape)}",
        lambda: references.all_pairs_surface_distances(a, b, spacing),
        lambda: surface_distances(a, b, spacing),
    )


CONTESTS = (windows, precision, volume, fast, surfaces)
