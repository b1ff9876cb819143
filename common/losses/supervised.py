"""The loss of labeled patches: a method's own, or the one that methods are compared with."""

from __future__ import annotations

from torch import nn

from ..errors import require_choice
from .dice import SupervisedLoss

KINDS = ("own", "dice_ce")


def make_supervised(kind: str, own: nn.Module) -> nn.Module:
    """``own``, the method's; or ``dice_ce``: half of V-Net's Dice loss (squares) and half of the cross-entropy."""
    require_choice(supervised_loss=(kind, KINDS))
    return own if kind == "own" else SupervisedLoss()
