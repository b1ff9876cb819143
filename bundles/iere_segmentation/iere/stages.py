"""Schedules of the two stages."""

from __future__ import annotations

import math


class WarmUpCosine:
    """Factor that grows linearly from ``low`` to 1, then falls to 0 by half a cosine.

    Args:
        total: iterations until 0.
        warm_up: iterations until 1.
        low: first factor.
    """

    def __init__(self, total: int, warm_up: int, low: float = 0.01) -> None:
        self.total, self.warm_up, self.low = total, warm_up, low

    def __call__(self, step: int) -> float:
        if step < self.warm_up:
            return self.low + (1 - self.low) * step / self.warm_up
        progress = (step - self.warm_up) / max(self.total - self.warm_up, 1)
        return (1 + math.cos(math.pi * min(progress, 1.0))) / 2


class CosineRestarts:
    """Factor that falls from 1 to 0 by half a cosine, again and again, each time ``growth`` times as slowly.

    Args:
        period: iterations of the first fall.
        growth: a whole number.

    Source: Loshchilov and Hutter, ICLR 2017.
    """

    def __init__(self, period: int = 10, growth: int = 2) -> None:
        self.period, self.growth = period, growth

    def __call__(self, step: int) -> float:
        period = self.period
        while step >= period:
            step, period = step - period, period * self.growth
        return (1 + math.cos(math.pi * step / period)) / 2
