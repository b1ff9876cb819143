"""Learning rates over a run, whatever its length."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, MultiStepLR, PolynomialLR

from ..errors import InputError

SCHEDULES = ("poly", "step", "constant")
POWER = 0.9


def make_schedule(
    optimizer: Optimizer, kind: str, iterations: float, step: float | None = None, power: float = POWER, delay: int = 0
) -> LRScheduler:
    """A schedule of the learning rate, stepped every iteration.

    Args:
        optimizer: whose rate changes.
        kind: ``poly``, to 0 at the end of the run as (1 - t/T)^power; ``step``, divided by 10 every ``step``
            iterations; ``constant``.
        iterations: T of the run.
        step: iterations between two divisions.
        power: of ``poly``.
        delay: iterations by which all divisions of ``step`` come later (1 in DualNet's published code).
    """
    if kind == "poly":
        return PolynomialLR(optimizer, total_iters=round(iterations), power=power)
    if kind == "step" and step:
        step = max(1, round(step))
        return MultiStepLR(optimizer, [delay + at for at in range(step, round(iterations) + 1, step)], gamma=0.1)
    if kind == "constant":
        return ConstantLR(optimizer, factor=1.0, total_iters=0)
    raise InputError(f"schedule={kind!r}: expected one of {', '.join(SCHEDULES)}, 'step' with lr_step")


def rate_factor(kind: str, iterations: float, lr_step: float, step: int) -> float:
    """Factor of the rate at iteration ``step``, 0 for the first, of the same kinds; for a stage with its own clock."""
    if kind == "poly":
        return max(1 - step / iterations, 0.0) ** POWER
    if kind == "step":
        return 0.1 ** (step // max(round(lr_step), 1))
    if kind == "constant":
        return 1.0
    raise InputError(f"schedule={kind!r}: expected one of {', '.join(SCHEDULES)}")
