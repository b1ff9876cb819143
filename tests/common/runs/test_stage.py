"""Length of the first stage of a run that goes on for longer."""

import pytest
import torch
from torch import nn

from common.engines import StagedOptimizer
from common.runs import first_stage
from common.tensors import save


def leave(folder, first, steps):
    """A folder with the state of a run after so many steps."""
    weight = nn.Parameter(torch.ones(1))
    optimizer = StagedOptimizer([torch.optim.SGD([weight], 1.0)] * 2, [lambda step: 1.0] * 2, first)
    optimizer.steps = steps
    optimizers = [torch.optim.SGD([weight], 1.0).state_dict(), optimizer.state_dict()]
    state = {"objective": {}, "processes": 1, "own": {}, "iteration": steps, "settings": {}, "data": {}}
    save({**state, "optimizers": optimizers}, folder / "resume.pt")


@pytest.mark.parametrize(("steps", "expected"), [(5, 20), (9, 20), (10, 10), (16, 10)])
def test_a_stage_that_is_over_stays_over_and_another_gets_longer(tmp_path, caplog, steps, expected):
    leave(tmp_path, 10, steps)
    with caplog.at_level("INFO"):
        assert first_stage(20, tmp_path, resume=True) == expected
    assert ("is not taken up again" in caplog.text) == (expected == 10)


def test_other_starts_take_the_length_of_their_settings(tmp_path):
    assert first_stage(20, tmp_path, resume=True) == first_stage(20, tmp_path / "none") == 20
    leave(tmp_path, 10, 16)
    assert first_stage(20, tmp_path) == 20 and first_stage(10, tmp_path, resume=True) == 10
