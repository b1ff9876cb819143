"""A guard against wrong bfloat16 gradients on CPUs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor, nn

from ..errors import InputError


@contextmanager
def right_bfloat16(module: nn.Module, refuse: bool = False) -> Iterator[None]:
    """Within the block, a 3D convolution whose bfloat16 weight gradient would be wrong on a CPU runs in float32.

    oneDNN, as shipped with torch 2.13, returns garbage (NaN or, worse, finite numbers) for the weight gradient of a
    3x3x3 convolution in bfloat16 when the first spatial extent of its input is exactly 2, whatever the others are;
    extents 1 and 3 and larger are right, and so are 2D, 1x1x1 and 2x2x2 kernels. The log says so once.

    Args:
        module: network or objective, called under autocast.
        refuse: such a convolution is an error instead, raised from the forward pass that meets it.

    Raises:
        InputError: with ``refuse``.
    """
    whole: list[torch.autocast] = []

    def before(layer: nn.Conv3d, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if not _miscomputed(layer, inputs[0]):
            return None
        if refuse:
            raise InputError(
                "patch_size: a convolution sees a first extent of 2, for which bfloat16 gradients are wrong on a CPU; "
                "take a first extent other than 32 (16), or amp: auto or float32"
            )
        _say_once()
        whole.append(torch.autocast("cpu", enabled=False))
        whole[-1].__enter__()
        return (inputs[0].float(),)

    def after(layer: nn.Conv3d, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if _miscomputed(layer, inputs[0]) and not refuse:
            whole.pop().__exit__(None, None, None)

    hooks = []
    for layer in (m for m in module.modules() if isinstance(m, nn.Conv3d)):
        hooks += [layer.register_forward_pre_hook(before), layer.register_forward_hook(after, always_call=True)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _miscomputed(layer: nn.Conv3d, x: Tensor) -> bool:
    return layer.kernel_size[0] == 3 and x.shape[2] == 2


@cache
def _say_once() -> None:
    logging.getLogger("Precision").info(
        "convolutions that see a first extent of 2 run in float32: their bfloat16 gradients are wrong on a CPU"
    )
