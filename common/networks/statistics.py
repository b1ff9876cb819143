"""Batch-norm statistics of other images than those of training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .modes import frozen_batchnorm_statistics, inactive_dropout


def batchnorm_layers(network: nn.Module) -> dict[str, _BatchNorm]:
    """Batch-norm layers that have running statistics, by name."""
    layers = {name: module for name, module in network.named_modules() if isinstance(module, _BatchNorm)}
    return {name: layer for name, layer in layers.items() if layer.track_running_stats}


@contextmanager
def collected_statistics(network: nn.Module) -> Iterator[None]:
    r"""Within the block every pass is normalized by its batch; at its end the running statistics are those of all.

    .. math:: \mu = \frac{\sum_b n_b \mu_b}{\sum_b n_b}, \qquad
              \sigma^2 = \frac{\sum_b n_b (\sigma_b^2 + \mu_b^2)}{\sum_b n_b} - \mu^2

    over all passes b of n_b values a channel, which is the mean and variance of everything that a layer saw. Weights,
    dropout and the mode of the network stay as they are; a block without a pass changes nothing.

    Source: Li et al., Revisiting Batch Normalization For Practical Domain Adaptation, 2016 (AdaBN).
    """
    layers = batchnorm_layers(network)
    sums = {name: torch.zeros(3, layer.num_features, dtype=torch.float64) for name, layer in layers.items()}
    hooks = [layer.register_forward_pre_hook(_adding_to(sums, name)) for name, layer in layers.items()]
    modes = {module: module.training for module in network.modules()}
    try:
        with inactive_dropout(network), frozen_batchnorm_statistics(network):
            for layer in layers.values():
                layer.train()
            yield
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes.items():
            module.training = training
    for name, layer in layers.items():
        count, total, squares = sums[name].to(layer.running_mean.device)
        if count[0]:
            mean = total / count
            layer.running_mean.copy_(mean)
            layer.running_var.copy_((squares / count - mean.square()).clamp(min=0))


def _adding_to(sums: dict[str, Tensor], name: str):
    def add(layer: nn.Module, inputs: tuple[Tensor]) -> None:
        x = inputs[0].detach().float().transpose(0, 1).flatten(1)
        variance, mean = torch.var_mean(x, dim=1, correction=0)
        variance, mean, count = variance.double(), mean.double(), x.shape[1]
        sums[name] = sums[name].to(x.device) + count * torch.stack([torch.ones_like(mean), mean, variance + mean**2])

    return add


def statistics_of(network: nn.Module) -> dict[str, Tensor]:
    """A copy of the running means and variances, by the names of a state dict."""
    return {
        f"{name}.{buffer}": getattr(layer, buffer).clone()
        for name, layer in batchnorm_layers(network).items()
        for buffer in ("running_mean", "running_var")
    }
