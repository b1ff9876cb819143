import pytest
import torch

from common.engines import make_schedule, rate_factor
from common.errors import InputError


def rates(kind, count, **options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule, found = make_schedule(optimizer, kind, **options), []
    for _ in range(count):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize(("delay", "falls"), [(0, (4, 8)), (1, (5, 9))])
def test_steps_divide_the_rate_where_they_should(delay, falls):
    found = rates("step", 11, iterations=10, step=4, delay=delay)
    assert found == pytest.approx([0.1 ** sum(done >= fall for fall in falls) for done in range(11)])


def test_steps_are_those_of_torchs_own_schedule():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule, expected = torch.optim.lr_scheduler.StepLR(optimizer, 3, 0.1), []
    for _ in range(12):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates("step", 12, iterations=12, step=3.2) == expected


@pytest.mark.parametrize("kind", ["poly", "step", "constant"])
def test_the_factor_is_that_of_the_schedule(kind):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = make_schedule(optimizer, kind, 20, step=6)
    for step in range(20):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rate_factor(kind, 20, 6, step))
        optimizer.step()
        schedule.step()


def test_a_factor_of_an_unknown_kind_is_refused():
    with pytest.raises(InputError, match="schedule='cosine'"):
        rate_factor("cosine", 20, 6, 0)
