"""The Dice and cross-entropy family with the conventions of the published 3D methods.

They differ from each other only in the denominator, the classes averaged over and the smoothing; all sum over the
batch and space at once (``monai.losses.DiceLoss(batch=True)``).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import require_choice


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Label map ``B, ...`` of integers to float ``B, classes, ...``."""
    return F.one_hot(labels.long(), classes).movedim(-1, 1).float()


def dice_linear(p: Tensor, y: Tensor, eps: float = 1e-8) -> Tensor:
    r"""Dice loss of one channel with a linear denominator.

    .. math:: 1 - \frac{2 \sum p y + \epsilon}{\sum p + \sum y + \epsilon}

    Args:
        p: probabilities in [0, 1], any shape.
        y: targets in [0, 1], the same shape.
        eps: smoothing; two empty maps give 0.

    Source: SS-Net (Wu et al., MICCAI 2022), supervised term on LA; equals MONAI's
    ``DiceLoss(batch=True, smooth_nr=eps, smooth_dr=eps)`` on that channel.
    """
    return 1 - (2 * (p * y).sum() + eps) / (p.sum() + y.sum() + eps)


def dice_squared(p: Tensor, y: Tensor, eps: float = 1e-5) -> Tensor:
    r"""Dice loss of one channel with squared probabilities in the denominator.

    .. math:: 1 - \frac{2 \sum p y + \epsilon}{\sum p^2 + \sum y^2 + \epsilon}

    Arguments as in ``dice_linear``. Source: V-Net (Milletari et al., 3DV 2016), as in UA-MT and MCF.
    """
    return 1 - (2 * (p * y).sum() + eps) / (p.square().sum() + y.square().sum() + eps)


def dice_squared_multiclass(p: Tensor, y: Tensor, eps: float = 1e-10) -> Tensor:
    """Mean of ``dice_squared`` over all classes, background included; ``p`` and one-hot ``y`` are ``B, C, ...``."""
    return torch.stack([dice_squared(*pair, eps) for pair in zip(p.unbind(1), y.unbind(1))]).mean()


def region_dice(p: Tensor, g: Tensor, mask: Tensor, eps: float = 1e-5) -> Tensor:
    r"""Dice loss inside a mask per sample, averaged over all classes; no squares.

    .. math:: 1 - \frac{1}{K} \sum_k \frac{2 \sum m p_k g_k + \epsilon}{\sum m p_k + \sum m g_k + \epsilon}

    Args:
        p: probabilities ``B, K, ...``.
        g: one-hot targets ``B, K, ...``.
        mask: m in {0, 1}, ``B, 1, ...``.
        eps: smoothing; an empty mask gives 0.

    Returns:
        ``B``.
    """
    overlap, size = ((mask * x).flatten(2).sum(dim=2) for x in (p * g, p + g))
    return 1 - ((2 * overlap + eps) / (size + eps)).mean(dim=1)


class SupervisedLoss(nn.Module):
    """Weighted sum of a Dice loss and the voxel-mean cross-entropy on labeled samples.

    Args:
        dice: ``linear`` or ``squared`` (each averaged over the foreground classes), or ``squared_multiclass``
            (averaged over all classes).
        dice_weight: factor of the Dice loss.
        ce_weight: factor of the cross-entropy.
    """

    KINDS = ("linear", "squared", "squared_multiclass")

    def __init__(self, dice: str = "squared", dice_weight: float = 0.5, ce_weight: float = 0.5) -> None:
        super().__init__()
        require_choice(dice=(dice, self.KINDS))
        self.dice, self.dice_weight, self.ce_weight = dice, dice_weight, ce_weight

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of logits ``B, C, ...`` against a label map ``B, ...`` or ``B, 1, ...`` of class indices.

        Raises:
            ValueError: when the spatial shapes differ.
        """
        if labels.dim() == logits.dim():
            labels = labels.squeeze(1)
        if labels.shape != logits.shape[:1] + logits.shape[2:]:
            raise ValueError(f"labels {tuple(labels.shape)} do not fit logits {tuple(logits.shape)}")
        logits = logits.float()
        loss = logits.new_zeros(())
        if self.dice_weight:
            loss = loss + self.dice_weight * self._dice(logits.softmax(dim=1), one_hot(labels, logits.shape[1]))
        if self.ce_weight:
            loss = loss + self.ce_weight * F.cross_entropy(logits, labels.long())
        return loss

    def _dice(self, p: Tensor, y: Tensor) -> Tensor:
        if self.dice == "squared_multiclass":
            return dice_squared_multiclass(p, y)
        one_class = dice_linear if self.dice == "linear" else dice_squared
        pairs = zip(p.unbind(1)[1:], y.unbind(1)[1:])  # the gradient of p[:, c] would be as large as p for each c
        return torch.stack([one_class(*pair) for pair in pairs]).mean()
