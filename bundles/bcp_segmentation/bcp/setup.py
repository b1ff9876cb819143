"""From options to BCP's two stages."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from torch import nn
from torch.optim import SGD

from common.engines import StagedOptimizer, rate_factor

PRETRAINING = 0.3  # share of a run of another length than the published ones, between their 12 % and 25 % of it


def pretrain_steps(steps: int | None, iterations: int, stretch: float = 1.0) -> int:
    """Iterations of pretraining; ``None``: 3 of each 10. ``stretch``: of a run that was given another length."""
    return round((round(PRETRAINING * iterations) if steps is None else steps) * stretch)


def make_optimizer(
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    first: int,
    iterations: int,
    schedule: str = "step",
    lr_step: float = 2500,
    carry: bool = False,
) -> StagedOptimizer:
    """SGD with momentum 0.9 and weight decay 1e-4 for both stages; the rate is constant in pretraining.

    Args:
        parameters: of the student.
        learning_rate: at the start of both stages.
        first: iterations of pretraining.
        iterations: of both stages.
        schedule: of self-training, counted from its own start: ``poly`` to 0 at the end, ``step``: a tenth every
            ``lr_step`` iterations, ``constant``.
        lr_step: iterations between two divisions.
        carry: keep the momentum of pretraining (published code for ACDC) instead of starting afresh (LA).
    """
    options = {"lr": learning_rate, "momentum": 0.9, "weight_decay": 1e-4}
    parameters = list(parameters)
    pretraining = SGD(parameters, **options)
    training = pretraining if carry else SGD(parameters, **options)
    factor = partial(rate_factor, schedule, max(iterations - first, 1), lr_step)
    return StagedOptimizer([pretraining, training], [partial(rate_factor, "constant", 1, 1), factor], first)
