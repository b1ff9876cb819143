import pytest
import torch

from common.engines import Objective
from common.losses import Ramp
from tests.toys import LinearObjective, batches


def test_terms_without_a_weight_count_once():
    terms = {"supervised": torch.tensor(2.0), "consistency": torch.tensor(3.0)}
    assert LinearObjective().total(terms, step=1).item() == 5


def test_weights_are_numbers_or_callables_of_the_step():
    objective = LinearObjective({"supervised": 2, "consistency": Ramp(10.0, length=4)})
    assert objective.weight("supervised", 1) == 2
    assert objective.weight("consistency", 4) == 10
    terms = {"supervised": torch.tensor(1.0), "consistency": torch.tensor(1.0)}
    assert objective.total(terms, 2).item() == pytest.approx(2 + Ramp(10.0, length=4)(2))


def test_diagnostics_do_not_count():
    terms = LinearObjective(start=2.0)(batches(1)[0], step=1)
    assert set(terms) == {"supervised", "consistency", "weight"}
    assert LinearObjective().total(terms, 1).item() == 2 * 1 + 2 * 3


def test_terms_that_are_left_out_do_not_count():
    assert LinearObjective().total({"consistency": torch.tensor(3.0)}, 1).item() == 3


def test_weight_of_an_unknown_term_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"\['consistancy'\].*'supervised', 'consistency'"):
        LinearObjective({"consistancy": 1.0})


def test_an_objective_without_a_forward_cannot_be_made():
    with pytest.raises(TypeError, match="abstract"):
        Objective()


def test_state_of_the_method_is_the_state_of_the_module():
    objective = LinearObjective(start=7.0)
    fresh = LinearObjective()
    fresh.load_state_dict(objective.state_dict())
    assert fresh.w.item() == 7
