"""What is compared, and how far apart the results may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

Result = Sequence[Any]  # tensors, arrays or numbers
Way = Callable[[], Result]


@dataclass(frozen=True)
class Contest:
    """Several ways to one result.

    Attributes:
        work: the input, in words.
        reference: the slow way, as published code goes it.
        ours: this repository's.
        tolerance: largest difference of the results, as a share of the reference's largest value.
        monai: the way that MONAI's stock classes go, where they have one.
        bytes: memory is measured, not time: each way returns its result, of which the last number is bytes.
    """

    work: str
    reference: Way
    ours: Way
    tolerance: float = 1e-5
    monai: Way | None = None
    bytes: bool = False

    @property
    def ways(self) -> Mapping[str, Way]:
        found = {"reference": self.reference, "MONAI": self.monai, "ours": self.ours}
        return {name: way for name, way in found.items() if way is not None}


def without_gradient(call: Way) -> Way:
    return torch.no_grad()(call)


def times(extents: Sequence[int]) -> str:
    return " x ".join(map(str, extents))
