import math

import pytest

from common.losses import Ramp, gaussian_rampup


@pytest.mark.parametrize(
    ("step", "length", "expected"),
    [(0, 100, math.exp(-5)), (50, 100, math.exp(-1.25)), (100, 100, 1), (250, 100, 1), (-3, 100, math.exp(-5)),
     (0, 0, 1), (7, 0, 1)],
)  # fmt: skip
def test_ramp_follows_the_gaussian(step, length, expected):
    assert gaussian_rampup(step, length) == pytest.approx(expected)


@pytest.mark.parametrize(("step", "expected"), [(1000, 0.027), (2500, 0.165), (5000, 0.858), (6000, 1), (15000, 1)])
def test_ramp_in_quanta_of_150_has_the_published_values(step, expected):
    assert gaussian_rampup(step, 6000, quantum=150) == pytest.approx(expected, abs=5e-4)
    assert gaussian_rampup(step, 6000, quantum=150) == pytest.approx(math.exp(-5 * (1 - min(step // 150 / 40, 1)) ** 2))


def test_a_quantum_need_not_be_whole():
    for step in range(751):
        expected = math.exp(-5 * (1 - (step * 200 // 750) / 200) ** 2)
        assert gaussian_rampup(step, 750, quantum=3.75) == pytest.approx(expected, abs=1e-12)


def test_ramp_is_constant_within_a_quantum_and_rises_after_it():
    within = {gaussian_rampup(step, 6000, quantum=150) for step in range(150, 300)}
    assert len(within) == 1
    assert gaussian_rampup(300, 6000, quantum=150) > within.pop()


def test_ramp_never_falls():
    values = [gaussian_rampup(step, 40) for step in range(60)]
    assert values == sorted(values)


@pytest.mark.parametrize(("length", "quantum"), [(-1, 1), (10, 0), (10, -150)])
def test_impossible_ramps_are_refused(length, quantum):
    with pytest.raises(ValueError, match="length"):
        gaussian_rampup(0, length, quantum)
    with pytest.raises(ValueError, match="length"):
        Ramp(1.0, length, quantum)


def test_ramp_weight_grows_to_its_maximum():
    ramp = Ramp(maximum=0.1, length=10)
    assert ramp(0) == pytest.approx(0.1 * math.exp(-5))
    assert ramp(10) == pytest.approx(0.1)


def test_ramp_weight_counts_from_its_start():
    assert Ramp(2.0, length=10, start=1)(6) == Ramp(2.0, length=10)(5)


def test_ramp_of_length_zero_is_constant():
    assert [Ramp(0.3, length=0)(step) for step in (0, 1, 99)] == [0.3] * 3


def test_ramp_may_start_from_a_minimum():
    ramp = Ramp(maximum=1.0, length=10, minimum=0.75)
    assert ramp(0) == pytest.approx(0.75 + 0.25 * math.exp(-5))
    assert ramp(5) == pytest.approx(0.75 + 0.25 * math.exp(-1.25))
    assert ramp(10) == 1


def test_a_ramp_in_two_hundred_steps_has_the_values_of_synfoc():
    ramp = Ramp(1.0, length=60000, quantum=300, start=1)
    values = [ramp(1 + int(share * 60000)) for share in (0, 0.1, 0.25, 0.5, 0.75)]
    assert values == pytest.approx([0.0067, 0.0174, 0.0601, 0.2865, 0.7316], abs=1e-4)
    assert gaussian_rampup(50, 100, exponent=1) == pytest.approx(math.exp(-2.5))
