"""Consistency of two predictions."""

from __future__ import annotations

from torch import Tensor


def softmax_mse(logits: Tensor, target_logits: Tensor) -> Tensor:
    r"""Squared distance of two softmax maps per voxel, averaged over classes; ``B, C, ...`` twice to ``B, ...``.

    .. math:: d_i = \frac{1}{C} \sum_c (p_{ic} - q_{ic})^2

    Source: Tarvainen and Valpola, NeurIPS 2017 (mean teacher). UA-MT's code sums over the voxels *and* classes
    and divides by twice the voxels of its mask, which for two classes is the same mean.
    """
    return (logits.float().softmax(dim=1) - target_logits.float().softmax(dim=1)).square().mean(dim=1)
