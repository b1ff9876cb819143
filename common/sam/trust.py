"""Where SAM's label is worth more than the pseudo-label that prompted it: what was measured, and a choice by it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .promptable import Refined, overlap
from .prompts import Group, compose, group_masks, group_probabilities, keep_ungrouped


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


def expected_dice(probabilities: Tensor, labels: Tensor, groups: Sequence[Group]) -> Tensor:
    r"""Dice ``B, G`` that a network expects of its own label maps, as far as its probabilities are right.

    .. math:: 2 \sum_x p(x)\, m(x) \Big/ \Big(\sum_x p(x) + \sum_x m(x)\Big)

    Args:
        probabilities: p, ``B, K, H, W``.
        labels: label maps ``B, H, W``; m are the masks of their groups.
        groups: G in number.
    """
    p, m = group_probabilities(probabilities, groups), group_masks(labels, groups)
    return 2 * (p * m).sum(dim=(-2, -1)) / (p.sum(dim=(-2, -1)) + m.sum(dim=(-2, -1))).clamp_min(1e-6)


class MeasuredTrust(nn.Module):
    r"""Trust in SAM's masks group by group and image by image, from what they were on cases whose truth is known.

    Moving averages of the Dice of the pseudo-label with the truth, :math:`d`, of the Dice that the network expected of
    it, :math:`e`, and of the Dice of SAM's mask, :math:`s`. A network that has learned from these very cases is better
    there than elsewhere, so what it expects of itself in the image at hand, :math:`e'`, takes the place of :math:`d`,
    in the proportion in which it was right. A group is trusted in an image once cases were seen, where

    .. math:: s > e' d / e + m \quad\text{and}\quad q \ge Q

    Args:
        groups: that are prompted, G in number.
        margin: m, how much better SAM has to be.
        quality: Q, of the IoU q that SAM expects of its mask.
        decay: of the averages, per case with the group.
    """

    def __init__(self, groups: Sequence[Group], margin: float = 0.0, quality: float = 0.0, decay: float = 0.95) -> None:
        super().__init__()
        self.groups, self.margin, self.quality, self.decay = list(groups), margin, quality, decay
        self.register_buffer("sums", torch.zeros(3, len(self.groups)))  # of the pseudo-label, expected of it, of SAM
        self.register_buffer("weight", torch.zeros(len(self.groups)))

    @torch.no_grad()
    def update(self, refined: Refined, labels: Tensor, truth: Tensor, expected: Tensor) -> None:
        """Learn from cases with a known ``truth``.

        Args:
            refined: what SAM made of ``labels``.
            labels: the pseudo-labels, ``B, H, W``.
            truth: ``B, H, W``.
            expected: see ``expected_dice``, ``B, G``.
        """
        right = group_masks(truth, self.groups)
        before, after = (overlap(m, right) for m in (group_masks(labels, self.groups), refined.logits > 0))
        measured = torch.stack([before, expected.to(before), after])
        for dice, counts in zip(measured.unbind(1), (right.flatten(2).any(dim=2) & refined.prompted).unbind(0)):
            keep = torch.where(counts, self.decay, 1.0)
            self.sums.mul_(keep).add_(dice * counts)
            self.weight.mul_(keep).add_(counts)

    def means(self) -> Tensor:
        """Mean Dice of the pseudo-labels, that expected of them, and of SAM's masks, ``3, G``; NaN without cases."""
        return self.sums / self.weight

    def forward(self, refined: Refined, expected: Tensor) -> Tensor:
        """Which groups of which images are trusted, ``B, G``; ``expected`` is of these images' pseudo-labels."""
        before, estimate, after = self.means()
        better = after > expected * before / estimate + self.margin
        return (refined.quality >= self.quality) & refined.prompted & better
