"""A guard against wrong bfloat16 gradients on CPUs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from ..errors import InputError


@contextmanager
def reject_wrong_bfloat16(module: nn.Module) -> Iterator[None]:
    """Within the block, a 3D convolution whose bfloat16 weight gradient would be wrong on a CPU is an error.

    oneDNN, as shipped with torch 2.13, returns garbage (NaN or, worse, finite numbers) for the weight gradient of a
    3x3x3 convolution in bfloat16 when the first spatial extent of its input is exactly 2, whatever the others are;
    extents 1 and 3 and larger are right, and so are 2D, 1x1x1 and 2x2x2 kernels.

    Raises:
        InputError: from the forward pass that meets such a convolution.
    """

    def check(layer: nn.Conv3d, inputs: tuple[Tensor, ...]) -> None:
        if layer.kernel_size[0] == 3 and inputs[0].shape[2] == 2:
            raise InputError(
                "patch_size: a convolution sees a first extent of 2, for which bfloat16 gradients are wrong on a CPU; "
                "take a first extent other than 32 (16), or amp: false"
            )

    hooks = [m.register_forward_pre_hook(check) for m in module.modules() if isinstance(m, nn.Conv3d)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
