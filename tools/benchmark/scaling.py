"""How time and memory grow with the work, at three sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy as np
import torch

from common.inferers import SlidingWindowInferer
from common.losses import SupervisedLoss
from common.networks import VNet

WINDOW = (64, 64, 32)


def volume(device: str) -> Mapping[int, Callable[[], Any]]:
    """voxels of a volume, inference at half a window's stride"""
    network = VNet(base_channels=8).eval().to(device)
    inferer = SlidingWindowInferer(WINDOW, [side // 2 for side in WINDOW], amp=False)
    shapes = [(64 * n, 64 * n, 32 * n) for n in (1, 2, 3)]
    images = {math.prod(shape): torch.randn(1, 1, *shape, device=device) for shape in shapes}
    return {voxels: torch.no_grad()(lambda image=image: inferer(image, network)) for voxels, image in images.items()}


def classes(device: str) -> Mapping[int, Callable[[], Any]]:
    """classes, the supervised loss and its gradient on 2 patches 64 x 64 x 32"""
    loss_of = SupervisedLoss(dice="squared", dice_weight=0.5, ce_weight=0.5)

    def call(count: int) -> Callable[[], Any]:
        logits = torch.randn(2, count, *WINDOW, device=device, requires_grad=True)
        label = torch.randint(count, (2, 1, *WINDOW), device=device)
        return lambda: torch.autograd.grad(loss_of(logits, label), logits)

    return {count: call(count) for count in (2, 8, 32)}


def batch(device: str) -> Mapping[int, Callable[[], Any]]:
    """samples of a batch, the V-Net of 8 channels forward and backward"""
    network = VNet(base_channels=8).to(device)

    def call(count: int) -> Callable[[], Any]:
        image = torch.randn(count, 1, *WINDOW, device=device)
        return lambda: torch.autograd.grad(network(image).mean(), network.head.weight)

    return {count: call(count) for count in (2, 4, 8)}


SCALINGS = (volume, classes, batch)


def measure(device: str) -> list[dict[str, Any]]:
    """Seconds at each size, and the exponent of a power that fits them."""
    found = []
    for scaling in SCALINGS:
        calls = scaling(device)
        used = {size: _least(call) for size, call in calls.items()}
        exponent = np.polyfit(np.log(list(used)), np.log(list(used.values())), 1)[0]
        found.append({"what": scaling.__doc__, "seconds": used, "exponent": float(exponent)})
    return found


def as_text(rows: Sequence[Mapping]) -> str:
    lines = ["| what grows | sizes | seconds | exponent |", "| --- | --- | --- | --- |"]
    for row in rows:
        sizes, used = (", ".join(texts) for texts in zip(*((f"{s:,}", f"{t:.3f}") for s, t in row["seconds"].items())))
        lines.append(f"| {row['what']} | {sizes} | {used} | {row['exponent']:.2f} |")
    return "\n".join(lines) + "\n"


def _least(call: Callable[[], Any], rounds: int = 3) -> float:
    call()
    durations = []
    for _ in range(rounds):
        started = perf_counter()
        call()
        durations.append(perf_counter() - started)
    return min(durations)
