"""What the comparisons with published code itself share, ``python -m tools parity <method> --peer_repo FOLDER``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .recorded import Row

BATCHES = (1, 2, 3)


@dataclass(frozen=True)
class Peer:
    """A published function that can be called.

    Attributes:
        function: ``file: name``, as in the table of the method.
        compare: of the function and a seed; yields what is compared, the absolute difference and its tolerance.
    """

    function: str
    compare: Callable[[Callable, int], Iterator[Row]]

    def worst(self, published: Callable, seed: int) -> list[Row]:
        """Each named quantity once, with its largest difference."""
        found: dict[tuple[str, float], float] = {}
        torch.manual_seed(seed)
        for what, off, tolerance in self.compare(published, seed):
            known = found.get((what, tolerance), 0.0)
            found[what, tolerance] = off if not off <= known else known
        return [(what, off, tolerance) for (what, tolerance), off in found.items()]


def apart(ours: Tensor, theirs: Tensor) -> float:
    """Largest absolute difference; of another shape it is infinite."""
    ours, theirs = torch.as_tensor(ours).detach().double(), torch.as_tensor(theirs).detach().double()
    return float((ours - theirs).abs().max()) if ours.shape == theirs.shape else float("inf")


def loss_and_gradient(ours: Callable, theirs: Callable, *inputs: Tensor, loss=1e-6, grad=1e-7) -> Iterator[Row]:
    """Both losses and their gradients by the first input."""
    values, grads = [], []
    for function in (ours, theirs):
        first = inputs[0].detach().clone().requires_grad_()
        values.append(function(first, *inputs[1:]))
        grads += torch.autograd.grad(values[-1], first)
    yield "loss", apart(*values), loss
    yield "gradient", apart(*grads), grad


def without_dropout(network: nn.Module) -> nn.Module:
    """The network with its dropout layers off, in double precision."""
    for module in network.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
    return network.double()


def first(output: Tensor | tuple) -> Tensor:
    """Logits, of a network that may return more."""
    return output[0] if isinstance(output, tuple | list) else output
