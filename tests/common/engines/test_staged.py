"""Two optimizers in one run."""

import torch
from torch import nn

from common.engines import StagedOptimizer


def test_first_one_optimizer_steps_then_the_other():
    weight = nn.Parameter(torch.tensor(0.0))
    optimizers = [torch.optim.SGD([weight], rate) for rate in (1.0, 10.0)]
    staged = StagedOptimizer(optimizers, [lambda step: 1.0 + step, lambda step: 0.5], first=2)
    moved = []
    for _ in range(4):
        staged.zero_grad()
        before = weight.item()
        (-weight).backward()
        staged.step()
        moved.append(weight.item() - before)
    assert moved == [1.0, 2.0, 5.0, 5.0]
    other = StagedOptimizer([torch.optim.SGD([weight], 1.0) for _ in range(2)], staged.schedules, first=2)
    other.load_state_dict(staged.state_dict())
    assert other.steps == 4 and other.stage == 1 and other.param_groups[0]["lr"] == 5.0


def test_each_schedule_counts_the_iterations_of_its_own_stage():
    weight, asked = nn.Parameter(torch.tensor(0.0)), ([], [])
    schedules = [lambda step, seen=seen: seen.append(step) or 1.0 for seen in asked]
    staged = StagedOptimizer([torch.optim.SGD([weight], 1.0) for _ in range(2)], schedules, first=3)
    for _ in range(5):
        weight.grad = torch.ones(())
        staged.step()
    assert asked == ([0, 1, 2], [0, 1])
