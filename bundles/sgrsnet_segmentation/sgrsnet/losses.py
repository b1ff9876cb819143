"""Losses of a region against the pseudo-label."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.errors import require_choice
from common.losses import dice_squared_multiclass, one_hot, region_dice


def joint_dice(p: Tensor, y: Tensor, mask: Tensor | None = None, smooth: float = 0.0) -> Tensor:
    r"""Dice loss with squares, numerator and denominator summed over samples, voxels and classes at once.

    .. math:: 1 - \frac{2 \sum m p y}{\sum m p^2 + \sum m y^2 + s}

    With s = 0 an empty mask is 0/0 in print; here it costs nothing. With s > 0 it costs the constant 1.

    Args:
        p: probabilities ``B, C, ...``.
        y: one-hot targets ``B, C, ...``.
        mask: m, boolean, ``B, ...``; ``None``: everywhere.
        smooth: s, in the denominator alone.

    Source: SGRS-Net (MICCAI 2025), equations 9 and 14.
    """
    m = torch.ones_like(p) if mask is None else mask.unsqueeze(1).to(p.dtype)
    size = (m * (p.square() + y)).sum() + smooth
    return (size - 2 * (m * p * y).sum()) / size.clamp(min=1e-8)


class LabeledLoss(nn.Module):
    r"""Cross-entropy and Dice of the labeled samples.

    .. math:: w_{ce} L_{ce} + w_d \, \mathrm{mean}_c \Big(1 - \frac{n \sum p_c y_c}{\sum p_c^2 + \sum y_c^2}\Big)

    Args:
        dice: ``classwise``, the mean over all classes (published code), or ``joint`` over all classes at once (paper).
        dice_factor: n. With the published code's 1 a perfect prediction costs 0.5, and the gradient is halved.
        dice_weight: :math:`w_d`, 0.5 in the published code, 1 in the paper.
        ce_weight: :math:`w_{ce}`, likewise.

    Source: SGRS-Net (MICCAI 2025), equations 8 to 10.
    """

    DICES = ("classwise", "joint")

    def __init__(
        self, dice: str = "classwise", dice_factor: float = 2.0, dice_weight: float = 0.5, ce_weight: float = 0.5
    ) -> None:
        super().__init__()
        require_choice(dice=(dice, self.DICES))
        self.dice, self.dice_factor = dice, dice_factor
        self.dice_weight, self.ce_weight = dice_weight, ce_weight

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Loss of logits ``B, C, ...`` against a label map ``B, 1, ...``."""
        logits, label = logits.float(), label.squeeze(1).long()
        dice = dice_squared_multiclass if self.dice == "classwise" else joint_dice
        overlap = (1 - dice(logits.softmax(dim=1), one_hot(label, logits.shape[1]))) / 2
        return self.dice_weight * (1 - self.dice_factor * overlap) + self.ce_weight * F.cross_entropy(logits, label)


class RegionalLoss(nn.Module):
    r"""Consistency on trusted regions, noise-robust supervision on doubtful ones.

    ``con``: cross-entropy and Dice with s = 1. ``nr``: label-smoothed cross-entropy and Dice with s = eta. ``none``:
    ignored. Cross-entropies are means over *all* voxels, zero outside the region; regions of one kind are one region.
    The sums that the paper prints over voxels are these means: plain sums over a million voxels would drown the Dice.

    Args:
        omega: kind of loss on agreeing voxels.
        theta: kind on disagreeing ones.
        delta: kind on uncertain ones.
        eps: label smoothing of ``nr`` (0.2).
        eta: Dice smoothing of ``nr`` (20).
        reduction: ``mean``: half of the mean cross-entropy over views plus the mean Dice over views and kinds
            (published code); ``sum`` of everything (paper).
        dice: ``regionwise``: ``region_dice`` (published code), or ``joint``: ``joint_dice`` with s = 0 for ``con`` and
            eta for ``nr`` (paper).
        uncertain_agreement: also count agreeing voxels of delta in the cross-entropy of omega's kind, though not in
            its Dice (published code).

    Source: SGRS-Net (MICCAI 2025), equations 11 to 16.
    """

    KINDS = ("con", "nr", "none")
    DICES = ("regionwise", "joint")

    def __init__(
        self,
        omega: str = "con",
        theta: str = "nr",
        delta: str = "none",
        eps: float = 0.2,
        eta: float = 20.0,
        reduction: str = "mean",
        dice: str = "regionwise",
        uncertain_agreement: bool = False,
    ) -> None:
        super().__init__()
        self.kinds = {"omega": omega, "theta": theta, "delta": delta}
        require_choice(**{region: (kind, self.KINDS) for region, kind in self.kinds.items()})
        require_choice(reduction=(reduction, ("mean", "sum")), dice=(dice, self.DICES))
        self.eps, self.eta, self.reduction = eps, eta, reduction
        self.dice_form, self.uncertain_agreement = dice, uncertain_agreement

    def forward(self, views: list[Tensor], pseudo_label: Tensor, regions: Mapping[str, Tensor]) -> Tensor:
        """Loss of the logits ``B, C, ...`` of one or two views against the classes ``B, ...``."""
        target = one_hot(pseudo_label, views[0].shape[1])
        cross_entropies, dices = [], []
        for kind in ("con", "nr"):
            masks = [regions[region] for region, chosen in self.kinds.items() if chosen == kind]
            if not masks:
                continue
            mask = counted = torch.stack(masks).any(dim=0)
            if self.uncertain_agreement and kind == self.kinds["omega"]:
                counted = mask | (regions["delta"] & (views[0].argmax(dim=1) == views[-1].argmax(dim=1)))
            for logits in map(Tensor.float, views):
                cross_entropies.append(self.cross_entropy(kind, logits, pseudo_label, counted))
                dices.append(self.dice(kind, logits.softmax(dim=1), target, mask))
        if not dices:
            return 0 * views[0].sum()
        if self.reduction == "sum":
            return sum(cross_entropies) + sum(dices)
        return 0.5 * (sum(cross_entropies) / len(views) + sum(dices) / len(dices))

    def cross_entropy(self, kind: str, logits: Tensor, pseudo_label: Tensor, mask: Tensor) -> Tensor:
        """Mean over all voxels of the cross-entropy inside ``mask``."""
        smoothing = 0.0 if kind == "con" else self.eps
        return (F.cross_entropy(logits, pseudo_label, reduction="none", label_smoothing=smoothing) * mask).mean()

    def dice(self, kind: str, p: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Dice loss inside ``mask``."""
        if self.dice_form == "joint":
            return joint_dice(p, target, mask, 0.0 if kind == "con" else self.eta)
        return region_dice(p, target, mask.unsqueeze(1), 1.0 if kind == "con" else self.eta).mean()
