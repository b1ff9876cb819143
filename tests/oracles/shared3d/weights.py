"""Weights of whole networks by a recipe, so that no file needs to hold them."""

import numpy as np
import torch


def hashed(count, stream):
    """``count`` numbers in [-1, 1] of a stream, by the recipe of ``README_3d.md``."""
    x = (np.arange(count, dtype=np.uint64) + 7919 * stream).astype(np.uint32)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    return torch.from_numpy((x ^ (x >> np.uint32(16))) / 2**31 - 1)


@torch.no_grad()
def weigh(network, image, seed):
    """Fill a network's layers in the order of execution; returns the layers."""
    layers = []
    hooks = [
        module.register_forward_pre_hook(lambda m, _: layers.append(m))
        for module in network.modules()
        if hasattr(module, "weight")
    ]
    network.eval()(image)
    for hook in hooks:
        hook.remove()
    for k, layer in enumerate(layers):
        if hasattr(layer, "running_mean"):
            scales = {"weight": (1, 0.3), "bias": (0, 0.2), "running_mean": (0, 0.3), "running_var": (1, 0.5)}
        else:
            inputs = layer.in_channels * (1 if layer.transposed else layer.weight[0, 0].numel())
            scales = {"weight": (0, (6 / inputs) ** 0.5), "bias": (0, 0.1)}
        for j, (name, (offset, scale)) in enumerate(scales.items()):
            tensor = getattr(layer, name)
            if tensor is not None:
                values = offset + scale * hashed(tensor.numel(), 100000 * seed + 4 * k + j)
                tensor.copy_(values.view(tensor.shape))
    return layers
