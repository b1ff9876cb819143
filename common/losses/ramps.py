"""Ramp-up of the unsupervised weights; iterations are the only clock."""

from __future__ import annotations

import math


def gaussian_rampup(step: int, length: int, quantum: float = 1, exponent: float = 2.0) -> float:
    r"""Weight of the Gaussian-shaped ("sigmoid") warm-up.

    .. math:: r(t; T) = \exp(-5 (1 - \mathrm{clip}(t/T, 0, 1))^2), \qquad r = 1 \text{ if } T = 0

    Args:
        step: iteration t.
        length: iterations T until the weight is 1.
        quantum: hold the weight for this many iterations, not necessarily a whole number; published code uses 150, or
            a two-hundredth of a run.
        exponent: of the bracket, 2 everywhere but in formulas printed without the square.

    Raises:
        ValueError: for a negative ``length`` or a ``quantum`` below 1.

    Source: Laine and Aila, ICLR 2017 (temporal ensembling), section 4.
    """
    if length < 0 or quantum < 1:
        raise ValueError(f"length must be >= 0 and quantum >= 1, got {length} and {quantum}")
    if length == 0:
        return 1.0
    progress = min(max((step // quantum) * quantum / length, 0.0), 1.0)
    return math.exp(-5.0 * (1.0 - progress) ** exponent)


class Ramp:
    """A weight that grows from ``minimum`` to ``maximum`` by ``gaussian_rampup``.

    Args:
        maximum: final weight.
        length: iterations until it is reached; 0 for a constant weight.
        quantum: see ``gaussian_rampup``.
        start: iteration that counts as step 0 of the ramp (1 where the published code reads its counter
            before incrementing it).
        minimum: weight that the ramp adds to (0.75 for the threshold of UA-MT).
        exponent: see ``gaussian_rampup``.
    """

    def __init__(
        self,
        maximum: float = 1.0,
        length: int = 6000,
        quantum: float = 1,
        start: int = 0,
        minimum: float = 0.0,
        exponent: float = 2.0,
    ) -> None:
        self.maximum, self.minimum, self.length, self.quantum, self.start = maximum, minimum, length, quantum, start
        self.exponent = exponent
        gaussian_rampup(0, length, quantum)

    def __call__(self, step: int) -> float:
        share = gaussian_rampup(step - self.start, self.length, self.quantum, self.exponent)
        return self.minimum + (self.maximum - self.minimum) * share
