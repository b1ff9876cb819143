"""Regularizers of IERE: the softmax variance, and the norms that the ablation puts in SAM's place."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from common.errors import require_choice


class InternalRegularizer(nn.Module):
    r"""Low variance of the softmax over the classes in the background, high variance in the foreground.

    With p = softmax(P), V its population variance over the K classes and Y the foreground of the mixed label:

    * ``paper``: :math:`\mathrm{mean}[(1 - Y) V - Y V]` (equation 7);
    * ``abs``: :math:`\mathrm{mean} V`, what an absolute value around that makes of it: it flattens the foreground too;
    * ``code``: :math:`\mathrm{mean}[a [v > 0.3] + (1 - a) [v \le 0.3]]`, with v the unbiased variance scaled to [0, 1]
      per image, a constant, and :math:`a = \sigma(P_1)` for two classes, :math:`1 - p_0` for more. No label enters;
    * ``spa``: ``code`` with its two sets exchanged, as in its source.

    V is at most (K - 1) / K^2. A weight of 1 or more would move the optimum of certain background away from 0.

    Args:
        enabled: switch of the term.
        mode: one of the above.
        normalize: divide V by its maximum (``paper`` and ``abs``).

    Source: IERE (Pattern Recognition 179, 2026) and its published code; SPA (Pan et al., CVPR 2021).
    """

    MODES = ("paper", "abs", "code", "spa")

    def __init__(self, enabled: bool = True, mode: str = "paper", normalize: bool = False) -> None:
        super().__init__()
        require_choice(mode=(mode, self.MODES))
        self.enabled, self.mode, self.normalize = enabled, mode, normalize

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Loss of logits ``B, K, ...`` under the mixed label ``B, ...``."""
        logits = logits.float()
        p, classes = logits.softmax(dim=1), logits.shape[1]
        if self.mode in ("code", "spa"):
            return self.restricted_activation(logits, p)
        variance = p.var(dim=1, unbiased=False)
        if self.normalize:
            variance = variance * (classes**2 / (classes - 1))
        return variance.mean() if self.mode == "abs" else (torch.where(label > 0, -variance, variance)).mean()

    def restricted_activation(self, logits: Tensor, p: Tensor) -> Tensor:
        """The modes ``code`` and ``spa``."""
        variance = p.detach().var(dim=1, unbiased=True).flatten(1)
        low, high = variance.amin(dim=1, keepdim=True), variance.amax(dim=1, keepdim=True)
        sure = (variance - low) / (high - low).clamp(min=1e-8) > 0.3
        activation = (logits[:, 1].sigmoid() if logits.shape[1] == 2 else 1 - p[:, 0]).flatten(1)
        return torch.where(sure == (self.mode == "code"), activation, 1 - activation).mean()


def weight_norm(network: nn.Module, kind: str) -> Tensor:
    r"""Norms of a network's weights that the ablation puts in the place of the external regularizer.

    ``l1``: :math:`\tfrac12 \sum |\gamma|` over the scales of batch norm; ``l2``: :math:`\tfrac14 \sum w^2` over the
    weights of convolutions.
    """
    require_choice(substitute=(kind, ("l1", "l2")))
    layer = nn.BatchNorm2d if kind == "l1" else nn.Conv2d
    weights = [module.weight for module in network.modules() if isinstance(module, layer)]
    return sum(w.abs().sum() for w in weights) / 2 if kind == "l1" else sum(w.square().sum() for w in weights) / 4


def agreement(a: Tensor, b: Tensor) -> Tensor:
    """Dice coefficient of the foregrounds of two label maps; 1 for two empty ones."""
    a, b = (a > 0).float(), (b > 0).float()
    return (2 * (a * b).sum() + 1e-5) / (a.sum() + b.sum() + 1e-5)
