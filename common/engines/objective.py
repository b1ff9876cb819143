"""What a method adds to the engine: named loss terms on a batch, and their weights over time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

from torch import Tensor, nn

from ..transforms.batch import Batch

Weight = float | Callable[[int], float]


class Objective(nn.Module, ABC):
    """The loss of one method.

    An objective is a module: networks, projection heads, teachers and memories are its submodules and buffers, so its
    ``state_dict`` is all the state of the method, and one ``DistributedDataParallel`` around it serves several
    networks. ``forward`` returns named scalars. Names in ``TERMS`` are losses, weighted and summed by the engine; any
    other name is a diagnostic, which is only logged. A disabled term is left out.

    Args:
        weights: factor of each term, a number or a callable of the iteration such as ``Ramp``; 1 where not given.

    Raises:
        ValueError: for a weight of an unknown term.
    """

    TERMS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, weights: Mapping[str, Weight] | None = None) -> None:
        super().__init__()
        self.weights = dict(weights or {})
        unknown = sorted(set(self.weights) - set(self.TERMS))
        if unknown:
            raise ValueError(f"weights of unknown terms {unknown}; this objective has {list(self.TERMS)}")

    @abstractmethod
    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Scalars of the batch at iteration ``step`` (1 for the first)."""

    def labels(self, image: Tensor) -> dict[str, Tensor]:
        """What networks of the method see, to be looked at: label maps ``B, H, W`` of images by name; none here."""
        return {}

    def weight(self, term: str, step: int) -> float:
        """Factor of ``term`` at iteration ``step``."""
        weight = self.weights.get(term, 1.0)
        return weight(step) if callable(weight) else float(weight)

    def total(self, terms: Mapping[str, Tensor], step: int) -> Tensor:
        """Weighted sum of the loss terms among ``terms``."""
        weighted = [self.weight(name, step) * terms[name] for name in self.TERMS if name in terms]
        if not weighted:
            raise ValueError(f"the objective returned none of its terms {list(self.TERMS)}: all are disabled")
        return sum(weighted)
