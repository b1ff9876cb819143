"""Prototype-guided learning: features of uncertain voxels move to the prototypes of reliable ones."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.errors import require_choice
from common.losses import entropy

from .pseudo_labels import PERCENTILES, Pair, joint_label, percentile


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distance of L2-normalized rows, in [0, 2]; its slope at 0 is kept finite."""
    cosine = (F.normalize(a, dim=-1) * F.normalize(b, dim=-1)).sum(dim=-1)
    return (2 - 2 * cosine).clamp(min=1e-8).sqrt()


class PrototypeGuidedLearning(nn.Module):
    r"""Attraction of uncertain voxels to the prototype of their own prediction (equations 16 to 20).

    .. math:: R(i) = [\hat y_A = \hat y_B][H_A \le q][H_B \le q], \quad c_k = \mathrm{mean}_{R, \hat y = k} F, \quad
              L_c = \sum_k \mathrm{mean}_{U_k} d(F(i), c_k) + d(c_f, c_b)

    with :math:`U_k` the other voxels that the network assigns to k. Prototypes are constants in the attraction and
    carry gradient in the last term; for several classes that term is the mean over pairs. Empty sets drop their term.

    Args:
        enabled: switch of the term.
        alpha: percentile of the entropies of both networks together.
        percentile: its rule, see ``pseudo_labels.percentile``.
        reliable: ``agree_and_low`` (paper), or ``not_both_high`` (published code): not both networks' entropies reach
            their percentile; without agreement, the joint pseudo-label says to which prototype a voxel counts.
        proto_term: ``plus`` (default), ``none`` (table 6) or ``margin``: max(0, margin - d), which separates.
        margin: of the last.
        nets: ``both`` networks' losses averaged, or that of the ``loser``, whose labeled loss is higher, or of the
            ``loser_by_dice``, whose Dice loss is (published code).
    """

    RELIABLE = ("agree_and_low", "not_both_high")
    PROTO_TERMS = ("plus", "none", "margin")
    NETS = ("both", "loser", "loser_by_dice")

    def __init__(
        self,
        enabled: bool = True,
        alpha: float = 70.0,
        reliable: str = "agree_and_low",
        proto_term: str = "plus",
        margin: float = 1.0,
        nets: str = "both",
        percentile: str = "nearest",
    ) -> None:
        super().__init__()
        require_choice(
            reliable=(reliable, self.RELIABLE), proto_term=(proto_term, self.PROTO_TERMS), nets=(nets, self.NETS)
        )
        require_choice(percentile=(percentile, PERCENTILES))
        self.enabled, self.alpha, self.percentile, self.reliable = enabled, alpha, percentile, reliable
        self.proto_term, self.margin, self.nets = proto_term, margin, nets

    def forward(self, logits: Pair, features: Pair, labeled_losses: Pair) -> tuple[Tensor, Tensor]:
        """Loss, and the share of reliable voxels.

        Args:
            logits: of the unlabeled samples, ``B, C, ...``.
            features: of the same, ``B, D, ...``.
            labeled_losses: scalars that tell the loser.
        """
        reliable, members = self.reliable_voxels(logits), joint_label(logits)
        losses = [self.one_net(z, f.float(), reliable, members) for z, f in zip(logits, features)]
        loser = torch.where(labeled_losses[0] > labeled_losses[1], *losses)
        return sum(losses) / 2 if self.nets == "both" else loser, reliable.float().mean()

    @torch.no_grad()
    def reliable_voxels(self, logits: Pair) -> Tensor:
        """Mask R, ``B, ...``."""
        h = [entropy(z) for z in logits]
        if self.reliable == "not_both_high":
            high = [entropies >= percentile(entropies, self.alpha, self.percentile) for entropies in h]
            return ~(high[0] & high[1])
        limit = percentile(torch.stack(h), self.alpha, self.percentile)
        return (logits[0].argmax(dim=1) == logits[1].argmax(dim=1)) & (h[0] <= limit) & (h[1] <= limit)

    def one_net(self, logits: Tensor, features: Tensor, reliable: Tensor, members: Tensor) -> Tensor:
        """Loss of one network; ``members`` are the classes of reliable voxels, ``B, ...``."""
        rows, prediction = features.movedim(1, -1), logits.argmax(dim=1)
        loss, prototypes = 0 * features.sum(), []
        for c in range(logits.shape[1]):
            own = rows[reliable & (members == c)]
            if not len(own):
                continue
            prototypes.append(own.mean(dim=0))
            uncertain = rows[~reliable & (prediction == c)]
            if len(uncertain):
                loss = loss + distance(uncertain, prototypes[-1].detach()).mean()
        if self.proto_term == "none" or len(prototypes) < 2:
            return loss
        apart = torch.stack([distance(a, b) for a, b in combinations(prototypes, 2)])
        return loss + (apart if self.proto_term == "plus" else (self.margin - apart).clamp(min=0)).mean()
