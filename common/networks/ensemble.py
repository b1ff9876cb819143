"""Several networks deployed as one."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class MeanSoftmax(nn.Module):
    """Average of the softmax maps of several networks; images ``B, C, ...`` to probabilities ``B, K, ...``.

    One tensor out, scriptable; each member stays exportable by itself as ``networks[i]``.

    Args:
        networks: members, which return logits in eval mode.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor) -> Tensor:
        total = 0.0 * x[:, :1]
        for network in self.networks:
            total = total + network(x).float().softmax(dim=1)
        return total / len(self.networks)
