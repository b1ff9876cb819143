"""The Dice loss of BCP's slices."""

from __future__ import annotations

from torch import Tensor


def region_dice_squared(p: Tensor, g: Tensor, mask: Tensor, eps: float = 1e-10) -> Tensor:
    r"""Dice loss inside a mask over all samples at once, averaged over all classes; squares in the denominator.

    .. math:: 1 - \frac{1}{K} \sum_k \frac{2 \sum m p_k g_k + \epsilon}{\sum m p_k^2 + \sum m g_k^2 + \epsilon}

    Args:
        p: probabilities ``B, K, ...``.
        g: one-hot targets ``B, K, ...``.
        mask: m in {0, 1}, ``B, 1, ...``.
        eps: smoothing; a class that neither map has gives 0.

    Returns:
        A scalar.

    Source: BCP's published code for ACDC, as it stands since October 2023: the background counts inside the mask alone.
    """
    overlap, size = ((mask * x).transpose(0, 1).flatten(1).sum(dim=1) for x in (p * g, p.square() + g.square()))
    return 1 - ((2 * overlap + eps) / (size + eps)).mean()
