"""Several networks, and mirror images, deployed as one network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor, nn

from ..errors import InputError


class Ensemble(nn.Module):
    r"""Mean probabilities of several networks over mirror images, as logits; ``B, C, spatial...`` to ``B, K, ...``.

    .. math:: z(x) = \log \frac{1}{M |S|} \sum_{m} \sum_{s \in S} s^{-1}(\mathrm{softmax}(f_m(s(x))))

    The softmax of the result is the mean, so that it takes the place of a single network everywhere. S holds the
    mirror images along every subset of ``mirrors``, the image itself included: each axis doubles the time. Scriptable.

    Args:
        networks: M of them, which return logits of the same classes.
        mirrors: spatial axes, from 0.

    Raises:
        InputError: without a network, and for an axis twice or that no image has.
    """

    def __init__(self, networks: Sequence[nn.Module], mirrors: Sequence[int] = ()) -> None:
        super().__init__()
        if not networks:
            raise InputError("networks: expected one or more")
        self.networks = nn.ModuleList(networks)
        axes = [axis + 2 for axis in require_axes(mirrors)]
        subsets = [list(some) for n in range(1, len(axes) + 1) for some in combinations(axes, n)]
        self.mirrors = [[0], *subsets]  # [0], not a spatial axis, is the image itself: TorchScript types no empty list

    def forward(self, x: Tensor) -> Tensor:
        total = torch.zeros(1, device=x.device)
        for network in self.networks:
            for axes in self.mirrors:
                seen = x if axes[0] == 0 else x.flip(axes)
                p = network(seen).float().softmax(dim=1)
                total = total + (p if axes[0] == 0 else p.flip(axes))
        mean = total / (len(self.networks) * len(self.mirrors))
        return mean.clamp(min=1e-37).log()


def require_axes(mirrors: Sequence[int], dimensions: int = 3) -> list[int]:
    """The axes in order; ``InputError`` unless each is one of an image's and given once."""
    axes = list(mirrors)
    known = all(type(axis) is int and 0 <= axis < dimensions for axis in axes)
    if not known or len(set(axes)) != len(axes):
        raise InputError(f"--mirrors {axes}: expected spatial axes, each once, of 0 to {dimensions - 1}")
    return sorted(axes)
