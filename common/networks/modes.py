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
    """Within the block, batch norm in training mode normalises as ever but leaves its running statistics untouched."""
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
    alone, and then the first convolution of a network for grey images, and all of its first level, ran channels-first.
    """
    if isinstance(data, torch.Tensor):
        if data.dim() not in (4, 5):
            return data
        return data.movedim(1, -1).clone(memory_format=torch.contiguous_format).movedim(-1, 1)
    for parameter in data.parameters():
        parameter.data = to_channels_last(parameter.data)
    return data
