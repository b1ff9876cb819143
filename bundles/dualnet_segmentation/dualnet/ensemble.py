"""Several networks deployed as one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from common.networks import set_dropout


class MeanSoftmax(nn.Module):
    r"""Average of the softmax maps of several networks; images ``B, C, ...`` to probabilities ``B, K, ...``.

    One tensor out, scriptable; each member stays exportable by itself as ``networks[i]``. On request a further channel
    says how far the M members differ, 0 (equal) to 1: the Jensen-Shannon divergence as a share of its maximum,

    .. math:: \left(H(\bar p) - \frac{1}{M} \sum_m H(p_m)\right) / \log M, \qquad \bar p = \frac{1}{M} \sum_m p_m

    Args:
        networks: members, which return logits in eval mode.
        dropout: probability that replaces those of all dropout layers of the members; ``None`` leaves them.
        disagreement: append the channel; output ``B, K + 1, ...``.
    """

    def __init__(self, networks: Sequence[nn.Module], dropout: float | None = None, disagreement: bool = False) -> None:
        super().__init__()
        self.networks, self.disagreement = nn.ModuleList(networks), disagreement
        set_dropout(self, dropout)

    def forward(self, x: Tensor) -> Tensor:
        total = 0.0 * x[:, :1]
        spread = 0.0 * x[:, :1]
        for network in self.networks:
            p = network(x).float().softmax(dim=1)
            total = total + p
            spread = spread - torch.special.entr(p).sum(dim=1, keepdim=True)
        mean = total / len(self.networks)
        if not self.disagreement:
            return mean
        divergence = torch.special.entr(mean).sum(dim=1, keepdim=True) + spread / len(self.networks)
        return torch.cat([mean, divergence / math.log(len(self.networks))], dim=1)
