"""Supervision of an image that is made up of two."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from .dice import one_hot, region_dice

Weight: TypeAlias = float | Tensor


def mixed_loss(
    logits: Tensor,
    outside: Tensor,
    inside: Tensor,
    box: Tensor,
    weights: tuple[Weight, Weight] = (1.0, 1.0),
    dice: Callable[[Tensor, Tensor, Tensor], Tensor] = region_dice,
) -> Tensor:
    r"""Half the Dice and cross-entropy of an image whose box came from another image, each part by its own label.

    .. math:: \tfrac12 \big[w_A D_M(P, A) + w_B D_{1-M}(P, B) + w_A C_M(P, A) + w_B C_{1-M}(P, B)\big], \qquad
              C_M = \frac{\sum M \, CE}{\sum M + 10^{-16}}

    with M = 1 outside the box, D averaged over the samples. Labels are constants.

    Args:
        logits: P, ``B, K, ...``.
        outside: A, class indices ``B, ...``.
        inside: B, class indices ``B, ...``.
        box: boolean, ``B, 1, ...``, set inside the box (1 - M).
        weights: :math:`w_A` and :math:`w_B`, numbers or one per sample (``B``).
        dice: D of probabilities and one-hot labels ``B, K, ...`` inside a mask ``B, 1, ...``: one value per sample, as
            ``region_dice``, or one for all.

    Source: IERE's published code; BCP (Bai et al., CVPR 2023), equations 6 and 7.
    """
    logits = logits.float()
    p, total = logits.softmax(dim=1), logits.new_zeros(())
    for label, mask, weight in ((outside, ~box, weights[0]), (inside, box, weights[1])):
        mask = mask.float()
        weight = torch.as_tensor(weight, device=p.device, dtype=p.dtype).expand(len(p))
        overlap = (weight * dice(p, one_hot(label, p.shape[1]), mask)).mean()
        entropies = F.cross_entropy(logits, label.long(), reduction="none") * mask.squeeze(1)
        ce = (weight * entropies.flatten(1).sum(dim=1)).sum() / (mask.sum() + 1e-16)
        total = total + overlap + ce
    return total / 2
