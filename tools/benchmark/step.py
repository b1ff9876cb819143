"""Training steps, and what they are made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch import Tensor, nn

from common.engines import SemiSupervisedTrainer
from common.losses import weighted_prototype_distance
from common.networks import VNet, to_channels_last
from common.transforms import Batch

from ..run import BUNDLES
from . import references
from .contest import Contest, Result, times

LATE = 10**6  # an iteration after all ramps


def separation(device: str, rows: int = 100_000, prototypes: int = 32, dim: int = 32) -> Contest:
    """Separation of classes and its gradient: matrix of all pairs -> two weighted means, O(M + K)"""
    features = torch.randn(rows, dim, device=device, requires_grad=True)
    others = [torch.randn(prototypes, dim, device=device), *(torch.rand(n, device=device) for n in (rows, prototypes))]

    def run(distance: Callable[..., Tensor]) -> Result:
        loss = distance(features, *others)
        return loss.detach(), *torch.autograd.grad(loss, features)

    return Contest(
        f"{rows:,} x {prototypes} vectors of {dim}",
        lambda: run(references.pairwise_prototype_distance),
        lambda: run(weighted_prototype_distance),
    )


def layout(device: str, size: Sequence[int] = (64, 64, 48), batch: int = 2, channels: int = 16) -> Contest:
    """Training step of the V-Net, forward and backward: contiguous -> channels-last"""
    network, image = VNet(base_channels=channels, dropout=0).to(device), torch.randn(batch, 1, *size, device=device)
    label = torch.randint(2, (batch, *size), device=device)

    def run(network: nn.Module, image: Tensor) -> Result:
        loss = nn.functional.cross_entropy(network(image), label)
        first, *_ = torch.autograd.grad(loss, [network.head.weight, *network.encoder.parameters()])
        return loss.detach(), first  # further down batch norm raises float32's rounding to a per cent in any layout

    other, moved = to_channels_last(deepcopy(network)), to_channels_last(image)
    return Contest(
        f"V-Net of {channels} channels, {batch} patches {times(size)}",
        lambda: run(network, image),
        lambda: run(other, moved),
        tolerance=1e-3,
    )


def ssnet(device: str, patch: Sequence[int] = (64, 64, 32), channels: int = 16, **options: Any) -> Contest:
    """SS-Net's step, official, dropout off: as its code goes -> exact, the target being the main pass's"""
    options = {"row_limit": 0, "amp": False, "lds#clean_target": "reuse_main", **options}
    return _ssnet(device, patch, channels, ("la_quick", "official"), options, 1e-3)


def ssnet_default(device: str, patch: Sequence[int] = (64, 64, 32), channels: int = 16, **options: Any) -> Contest:
    """SS-Net's step, heads on other rows: as its code goes -> la_quick, target of the main pass, number type auto"""
    return _ssnet(device, patch, channels, ("la_quick",), {"lds#clean_target": "reuse_main", **options}, math.inf)


def ssnet_main_pass(device: str, patch: Sequence[int] = (64, 64, 32), channels: int = 16, **options: Any) -> Contest:
    """SS-Net's step in float32, no probe at random: as its code goes -> target and direction of the main pass"""
    chosen = {"amp": False, "lds#clean_target": "reuse_main", "lds#direction": "main_pass", **options}
    return _ssnet(device, patch, channels, ("la_quick",), chosen, math.inf)


def ssnet_fast(device: str, patch: Sequence[int] = (64, 64, 32), channels: int = 16, **options: Any) -> Contest:
    """SS-Net's step, smoothness on a part of the patch: as its code goes -> layer fast, number type auto"""
    return _ssnet(device, patch, channels, ("la_quick", "fast"), options, math.inf)


def _ssnet(
    device: str,
    patch: Sequence[int],
    channels: int,
    layers: Sequence[str],
    options: Mapping[str, Any],
    tolerance: float,
    bundle: str = "ssnet_segmentation",
) -> Contest:
    definition = {"_target_": "common.networks.VNet", "base_channels": channels, "dropout": 0}
    folder = BUNDLES / bundle
    config = ConfigParser()
    config.read_config([str(folder / "configs" / f"{layer}.yaml") for layer in ("train", *layers)])
    known = {"bundle_root": str(folder), "device": torch.device(device), "patch_size": list(patch)}
    config.update({**known, "base_channels": channels, "network_def": definition, **options})
    network, objective, optimizer = (config.get_parsed_content(name) for name in ("network", "objective", "optimizer"))
    objective.to(device)
    heads, slow = deepcopy(objective.separation), deepcopy(network)
    slow_optimizer = torch.optim.SGD([*slow.parameters(), *heads.parameters()], 0.01, 0.9, weight_decay=1e-4)
    published = references.SSNetStep(slow, heads, slow_optimizer, patch, config.get_parsed_content("lds").eps)
    settings = {"amp": config.get_parsed_content("amp")}
    trainer = SemiSupervisedTrainer(device, 1, [None], objective, optimizer, settings)
    trainer.state.iteration = LATE
    image = torch.randn(4, 1, *patch, device=device)
    label = (image[:2] > 0.9).to(torch.uint8)  # 18 % foreground, as in patches of the left atrium

    def ours() -> Result:
        torch.manual_seed(0)
        terms = trainer._iteration(trainer, Batch(image, label))
        return [terms["loss"], terms["supervised"], network.head.weight.grad]

    def reference() -> Result:
        torch.manual_seed(0)
        loss, supervised = published(image, label[:, 0].long())
        return [loss, supervised, slow.head.weight.grad]

    return Contest(f"batch 2 + 2, patch {times(patch)}, V-Net of {channels} channels", reference, ours, tolerance)


CONTESTS = (separation, layout, ssnet, ssnet_default, ssnet_main_pass, ssnet_fast)
