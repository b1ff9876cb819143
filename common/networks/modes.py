"""Temporary and permanent modes of a network: frozen batch-norm statistics, silent dropout, memory layout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd


@contextmanager
def frozen_batchnorm_statistics(network: nn.Module) -> Iterator[None]:
    """Within the block, batch norm in training mode normalizes as ever but leaves its running statistics untouched."""
    layers = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    try:
        for layer in layers:
            layer.track_running_stats = False
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True


@contextmanager
def inactive_dropout(network: nn.Module) -> Iterator[None]:
    """Within the block, dropout layers pass their input through; everything else keeps its mode."""
    layers = [m for m in network.modules() if isinstance(m, _DropoutNd) and m.training]
    try:
        for layer in layers:
            layer.training = False
        yield
    finally:
        for layer in layers:
            layer.training = True


def set_dropout(network: nn.Module, dropout: float | None) -> nn.Module:
    """The network with this probability in all dropout layers, as viewers ask that score by it; ``None``: its own."""
    for module in network.modules():
        if dropout is not None and isinstance(module, _DropoutNd):
            module.p = dropout
    return network


def to_channels_last(data: nn.Module | torch.Tensor) -> nn.Module | torch.Tensor:
    """Lay out a tensor, or a module's 4-D and 5-D parameters, channels-last (values unchanged, modules in place).

    The strides say so even for a single channel, where both layouts are one in memory: ``contiguous`` leaves those
    alone, and then the first convolution of a network for gray images, and all of its first level, ran channels-first.
    Layers that ``keep_default_layout`` finds stay as they are.
    """
    if isinstance(data, torch.Tensor):
        if data.dim() not in (4, 5):
            return data
        moved = data.movedim(1, -1)
        if moved.is_contiguous():  # in memory it is so already, as with a single channel: only the strides must say so
            return moved.reshape(-1).view(moved.shape).movedim(-1, 1)
        return moved.clone(memory_format=torch.contiguous_format).movedim(-1, 1)
    kept = {id(layer.weight) for layer in keep_default_layout(data)}
    for parameter in data.parameters():
        if id(parameter) not in kept:
            parameter.data = to_channels_last(parameter.data)
    return data


BLOCK = 16  # channels that oneDNN takes together, at most: 8 with AVX2, 16 with AVX-512


def keep_default_layout(network: nn.Module) -> list[nn.Module]:
    """Let the network's strided pointwise convolutions of few channels run channels-first on a CPU, and return them.

    The weight gradient of a channels-last 1x1 convolution with a stride writes past oneDNN's buffer when it has fewer
    input channels than a block (https://github.com/uxlfoundation/oneDNN/issues/6035, in torch 2.13): wrong numbers, a
    crash, or threads that wait for each other for ever. The layout of the input decides as well as that of the
    weights, so such a layer relays both. Copies of the network do so too.
    """
    layers = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Conv3d)) and _miscomputed(m)]
    for layer in layers:
        if _to_default_layout not in layer._forward_pre_hooks.values():
            layer.weight.data = layer.weight.data.reshape(-1).view(layer.weight.shape)
            layer.register_forward_pre_hook(_to_default_layout)
    return layers


def _miscomputed(layer: nn.Conv2d | nn.Conv3d) -> bool:
    strided_pointwise = max(layer.kernel_size) == 1 and max(layer.stride) > 1
    return strided_pointwise and layer.in_channels // layer.groups < BLOCK


def _to_default_layout(layer: nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    x = inputs[0]
    if x.device.type == "cpu":
        x = x.reshape(-1).view(x.shape)  # unlike contiguous, resets the strides of a single channel
    return (x,)
