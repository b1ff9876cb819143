"""Two stages in one run: each has its own optimizer and schedule."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch.optim import Optimizer


class StagedOptimizer:
    """Step the first of two optimizers of the same parameters for so many iterations, then the second.

    Args:
        optimizers: of pretraining and of the student stage.
        schedules: factor of each one's learning rate at an iteration of its stage (0 for the first).
        first: iterations of the first.
    """

    def __init__(
        self, optimizers: Sequence[Optimizer], schedules: Sequence[Callable[[int], float]], first: int
    ) -> None:
        self.optimizers, self.schedules, self.first, self.steps = list(optimizers), list(schedules), first, 0
        self.rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in self.optimizers]

    @property
    def stage(self) -> int:
        return int(self.steps >= self.first)

    @property
    def param_groups(self) -> list[dict]:
        return self.optimizers[self.stage].param_groups

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.optimizers[self.stage].zero_grad(set_to_none)

    def step(self) -> None:
        factor = self.schedules[self.stage](self.steps - self.first * self.stage)
        for group, rate in zip(self.param_groups, self.rates[self.stage]):
            group["lr"] = rate * factor
        self.optimizers[self.stage].step()
        self.steps += 1

    def state_dict(self) -> dict:
        optimizers = [optimizer.state_dict() for optimizer in self.optimizers]
        return {"first": self.first, "steps": self.steps, "optimizers": optimizers}

    def load_state_dict(self, state: dict) -> None:
        self.steps = state["steps"]
        for optimizer, own in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(own)
