"""Three ways in which the two networks label unlabeled voxels for each other."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.errors import require_choice
from common.losses import entropy, kl_divergence, masked_mean

Pair = tuple[Tensor, Tensor]


PERCENTILES = ("nearest", "linear")


def percentile(values: Tensor, alpha: float, rule: str = "nearest") -> Tensor:
    """The ``alpha``-th percentile of all ``values``, on their device; not limited in size.

    Args:
        values: any shape.
        alpha: in [0, 100].
        rule: ``nearest`` rank, always one of the values, or ``linear`` between two ranks, as numpy's default.
    """
    flat = values.flatten()
    if rule == "nearest":
        return flat.kthvalue(max(1, math.ceil(alpha / 100 * flat.numel()))).values
    rank = alpha / 100 * (flat.numel() - 1)
    low, high = (flat.kthvalue(1 + k).values for k in (math.floor(rank), math.ceil(rank)))
    return torch.lerp(low, high, rank - math.floor(rank))


@torch.no_grad()
def joint_label(logits: Pair) -> Tensor:
    """Pseudo-label ``B, ...`` of both networks: foreground if either says so, of two classes the more confident."""
    (pa, a), (pb, b) = (z.float().softmax(dim=1).max(dim=1) for z in logits)
    both = torch.where(pa >= pb, a, b)
    return torch.where(a == 0, b, torch.where(b == 0, a, both))


class CrossPseudoSupervision(nn.Module):
    r"""Cross-entropy of each network against the other's pseudo-label (equations 7 and 8).

    Args:
        enabled: switch of the term.
        threshold: binary pseudo-label where the foreground probability exceeds it (0.6); ``None``, and always for
            several classes: the arg max.
    """

    def __init__(self, enabled: bool = True, threshold: float | None = 0.6) -> None:
        super().__init__()
        self.enabled, self.threshold = enabled, threshold

    def forward(self, logits: Pair) -> Tensor:
        a, b = logits
        return F.cross_entropy(a.float(), self.label(b)) + F.cross_entropy(b.float(), self.label(a))

    @torch.no_grad()
    def label(self, logits: Tensor) -> Tensor:
        if self.threshold is None or logits.shape[1] > 2:
            return logits.argmax(dim=1)
        return (logits.float().softmax(dim=1)[:, 1] > self.threshold).long()


class EntropyFilteredSupervision(nn.Module):
    r"""Cross-entropy against a joint pseudo-label where not both networks are uncertain (equations 9 to 11).

    .. math:: m(i) = 1 - [H_A(i) > q_A][H_B(i) > q_B], \qquad
              L_{efs} = \sum_k \frac{\sum_i m(i) CE(z_k(i), Y^*(i))}{\sum_i m(i)}

    with :math:`q_k` the alpha-th percentile of the entropies. Target and mask are constants; the logits get the
    gradient, which the published code cuts.

    Args:
        enabled: switch of the term.
        alpha: percentile; a larger one keeps more voxels (70 LA, 80 pancreas, 30 BraTS).
        percentile: its rule, see ``percentile``; the published code takes numpy's, ``linear``.
        limit: entropies equal to the percentile: ``keep``, so that a plateau of equal entropies counts, or ``drop``
            (published code).
        target: ``union``: foreground if either network says so, the more confident class if both do and differ;
            ``peer``: the other's arg max; ``agreement``: only voxels where both agree.
        norm: ``valid_mean``, or ``official``: divided by the share of valid voxels once more.
    """

    TARGETS = ("union", "peer", "agreement")
    NORMS = ("valid_mean", "official")
    LIMITS = ("keep", "drop")

    def __init__(
        self,
        enabled: bool = True,
        alpha: float = 70.0,
        target: str = "union",
        norm: str = "valid_mean",
        percentile: str = "nearest",
        limit: str = "keep",
    ) -> None:
        super().__init__()
        require_choice(target=(target, self.TARGETS), norm=(norm, self.NORMS))
        require_choice(percentile=(percentile, PERCENTILES), limit=(limit, self.LIMITS))
        if not 0 <= alpha <= 100:
            raise ValueError(f"alpha is a percentile in [0, 100], got {alpha}")
        self.enabled, self.alpha, self.target, self.norm = enabled, alpha, target, norm
        self.percentile, self.limit = percentile, limit

    def forward(self, logits: Pair) -> tuple[Tensor, Tensor]:
        """Loss, and the share of voxels that count."""
        valid = self.valid(logits)
        labels = [z.argmax(dim=1) for z in logits]
        if self.target == "agreement":
            valid = valid & (labels[0] == labels[1])
        targets = [joint_label(logits)] * 2 if self.target == "union" else labels[::-1]
        loss = sum(masked_mean(F.cross_entropy(z.float(), y, reduction="none"), valid) for z, y in zip(logits, targets))
        share = valid.float().mean()
        return (loss / share.clamp(min=1 / valid.numel()) if self.norm == "official" else loss), share

    @torch.no_grad()
    def valid(self, logits: Pair) -> Tensor:
        """Mask m, ``B, ...``."""
        uncertain = []
        for h in map(entropy, logits):
            limit = percentile(h, self.alpha, self.percentile)
            uncertain.append(h > limit if self.limit == "keep" else h >= limit)
        return ~(uncertain[0] & uncertain[1])


class UncertaintyEnhancement(nn.Module):
    r"""Peer supervision weighted by the agreement of the predictions (equations 13 to 15).

    .. math:: L_{ue} = \sum_k \mathrm{mean}_i\big[e^{-D_k(i)} CE(p_k(i), s_{\bar k}(i)) + D_k(i)\big], \quad
              D_k = KL(p_{\bar k} \| p_k), \quad s_{\bar k} = \mathrm{softmax}(z_{\bar k} / T)

    The peer is constant; D carries gradient in the weight too, and the summand D keeps it bounded.

    Args:
        enabled: switch of the term.
        temperature: T.
        target: ``soft`` s, or its ``hard`` arg max, on which T has no effect (published code).
        direction: ``both``, or ``b_to_a``: only the second network teaches (published code).
        scope: voxels of ``all`` samples or of the ``unlabeled`` ones.

    Source: as the module; form of the loss after RCPS (Zhao et al., 2023).
    """

    TARGETS = ("soft", "hard")
    DIRECTIONS = ("both", "b_to_a")
    SCOPES = ("all", "unlabeled")

    def __init__(
        self,
        enabled: bool = True,
        temperature: float = 0.5,
        target: str = "soft",
        direction: str = "both",
        scope: str = "all",
    ) -> None:
        super().__init__()
        require_choice(
            target=(target, self.TARGETS), direction=(direction, self.DIRECTIONS), scope=(scope, self.SCOPES)
        )
        self.enabled, self.temperature, self.target = enabled, temperature, target
        self.direction, self.scope = direction, scope

    def forward(self, logits: Pair) -> Tensor:
        a, b = logits
        loss = self.one_way(a, b.detach())
        return loss if self.direction == "b_to_a" else loss + self.one_way(b, a.detach())

    def one_way(self, logits: Tensor, peer: Tensor) -> Tensor:
        sharpened = peer.float() / self.temperature
        target = sharpened.softmax(dim=1) if self.target == "soft" else sharpened.argmax(dim=1)
        distance = kl_divergence(peer, logits)
        return (torch.exp(-distance) * F.cross_entropy(logits.float(), target, reduction="none") + distance).mean()


class CosineConsistency(nn.Module):
    r"""Distance of the two softmax vectors of each voxel, with gradient into both networks (published code alone).

    .. math:: \mathrm{mean}_i \Big(1 - \frac{\langle p_A(i), p_B(i) \rangle}
              {\lVert p_A(i) \rVert \lVert p_B(i) \rVert}\Big)

    Args:
        enabled: switch of the term, off as in the paper.
    """

    def __init__(self, enabled: bool = False) -> None:
        super().__init__()
        self.enabled = enabled

    def forward(self, logits: Pair) -> Tensor:
        a, b = (z.float().softmax(dim=1) for z in logits)
        return (1 - F.cosine_similarity(a, b, dim=1)).mean()
