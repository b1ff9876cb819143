"""Where SAM's label is worth more than the pseudo-label that prompted it: what was measured, and a choice by it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .promptable import Refined, overlap
from .prompts import Group, compose, group_masks, keep_ungrouped


def take_trusted(refined: Refined, labels: Tensor, groups: Sequence[Group], trusted: Tensor) -> Tensor:
    """Label maps of SAM's masks for trusted groups and of the pseudo-label's pixels for all others.

    Args:
        refined: what SAM made of ``labels``.
        labels: the pseudo-labels, ``B, H, W``.
        groups: that were prompted, G in number.
        trusted: which groups of which images, ``B, G``.

    Returns:
        Label maps ``B, H, W``; with no group trusted ``labels``, as far as the groups tell classes apart.
    """
    own = torch.where(group_masks(labels, groups), torch.inf, -torch.inf).to(refined.logits)
    logits = torch.where(trusted[:, :, None, None], refined.logits, own)
    return keep_ungrouped(compose(logits, groups), labels, groups)


class MeasuredTrust(nn.Module):
    r"""Trust in SAM's masks group by group, from what they gained on cases whose truth is known.

    Moving averages of the Dice of the pseudo-label, :math:`d`, and of SAM's mask, :math:`s`, with the truth. A group is
    trusted in an image once cases were seen, where

    .. math:: s > d + m \quad\text{and}\quad \mathrm{Dice}(\text{mask}, \text{pseudo-label}) \ge a
              \quad\text{and}\quad q \ge Q

    Args:
        groups: that are prompted, G in number.
        margin: m, how much better SAM has to be.
        agreement: a, of SAM's mask and the pseudo-label that prompted it.
        quality: Q, of the IoU q that SAM expects of its mask.
        decay: of the averages, per case with the group.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        margin: float = 0.0,
        agreement: float = 0.0,
        quality: float = 0.0,
        decay: float = 0.95,
    ) -> None:
        super().__init__()
        self.groups, self.margin, self.decay = list(groups), margin, decay
        self.least_agreement, self.least_quality = agreement, quality
        self.register_buffer("sums", torch.zeros(2, len(self.groups)))  # of the pseudo-label, of SAM
        self.register_buffer("weight", torch.zeros(len(self.groups)))

    @torch.no_grad()
    def update(self, refined: Refined, labels: Tensor, truth: Tensor) -> None:
        """Learn from cases with a known ``truth``; the pseudo-labels of them, as ``labels``, prompted SAM."""
        right = group_masks(truth, self.groups)
        pair = torch.stack([overlap(m, right) for m in (group_masks(labels, self.groups), refined.logits > 0)])
        for dice, counts in zip(pair.unbind(1), (right.flatten(2).any(dim=2) & refined.prompted).unbind(0)):
            keep = torch.where(counts, self.decay, 1.0)
            self.sums = self.sums * keep + dice * counts
            self.weight = self.weight * keep + counts

    def means(self) -> tuple[Tensor, Tensor]:
        """Mean Dice of the pseudo-labels and of SAM's masks, ``G`` each; NaN of a group without cases."""
        before, after = self.sums / self.weight
        return before, after

    def forward(self, refined: Refined) -> Tensor:
        """Which groups of which images are trusted, ``B, G``."""
        before, after = self.means()
        fair = (refined.agreement >= self.least_agreement) & (refined.quality >= self.least_quality)
        return fair & refined.prompted & (after > before + self.margin)
