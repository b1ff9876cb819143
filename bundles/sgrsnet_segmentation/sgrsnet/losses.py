"""Losses of a region against the pseudo-label."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.errors import require_choice
from common.losses import one_hot, region_dice


class RegionalLoss(nn.Module):
    r"""Consistency on trusted regions, noise-robust supervision on doubtful ones.

    ``con``: cross-entropy and Dice with s = 1. ``nr``: label-smoothed cross-entropy and Dice with s = eta. ``none``:
    ignored. Cross-entropies are means over *all* voxels, zero outside the region; regions of one kind are one region.

    Args:
        omega: kind of loss on agreeing voxels.
        theta: kind on disagreeing ones.
        delta: kind on uncertain ones.
        eps: label smoothing of ``nr`` (0.2).
        eta: Dice smoothing of ``nr`` (20).
        reduction: ``mean``: half of the mean cross-entropy over views plus the mean Dice over views and kinds
            (published code); ``sum`` of everything (paper).

    Source: SGRS-Net (MICCAI 2025), equations 11 to 15, in the code's form (the paper's is 0/0 on an empty region).
    """

    KINDS = ("con", "nr", "none")

    def __init__(
        self,
        omega: str = "con",
        theta: str = "nr",
        delta: str = "none",
        eps: float = 0.2,
        eta: float = 20.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        self.kinds = {"omega": omega, "theta": theta, "delta": delta}
        require_choice(**{region: (kind, self.KINDS) for region, kind in self.kinds.items()})
        require_choice(reduction=(reduction, ("mean", "sum")))
        self.eps, self.eta, self.reduction = eps, eta, reduction

    def forward(self, views: list[Tensor], pseudo_label: Tensor, regions: Mapping[str, Tensor]) -> Tensor:
        """Loss of the logits ``B, C, ...`` of one or two views against the classes ``B, ...``."""
        target = one_hot(pseudo_label, views[0].shape[1])
        cross_entropies, dices = [], []
        for kind in ("con", "nr"):
            masks = [regions[region] for region, chosen in self.kinds.items() if chosen == kind]
            if not masks:
                continue
            mask = torch.stack(masks).any(dim=0)
            smoothing, smooth = (0.0, 1.0) if kind == "con" else (self.eps, self.eta)
            for logits in map(Tensor.float, views):
                ce = F.cross_entropy(logits, pseudo_label, reduction="none", label_smoothing=smoothing)
                cross_entropies.append((ce * mask).mean())
                dices.append(region_dice(logits.softmax(dim=1), target, mask.unsqueeze(1), smooth).mean())
        if not dices:
            return 0 * views[0].sum()
        if self.reduction == "sum":
            return sum(cross_entropies) + sum(dices)
        return 0.5 * (sum(cross_entropies) / len(views) + sum(dices) / len(dices))
