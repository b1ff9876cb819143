"""Expected Dice of cases without labels: intervals that hold as often as they say, learned from few patients."""

import json

import numpy as np
import pytest

from common.errors import InputError
from common.metrics import Calibration, confidence_of, held_out, how_well


def drawn(generator, patients, frames=2):
    """Confidence, Dice and patient of cases: bad ones are less well known, frames of one patient are alike."""
    owners = np.repeat(np.arange(patients), frames)
    dice = np.clip(generator.beta(6, 2, patients)[owners] + generator.normal(0, 0.02, len(owners)), 0, 1)
    error = (1.05 - dice) * (generator.normal(0, 0.3, patients)[owners] + generator.normal(0, 0.1, len(owners)))
    return np.clip(0.3 + 0.7 * dice + 0.5 * error, 0, 1), dice, owners


def test_confidence_is_the_dice_that_probabilities_promise():
    sums = np.array([[1.7, 2, 2.2], [0, 0, 0.3], [3, 3, 3]])
    np.testing.assert_allclose(confidence_of(sums), [2 * 1.7 / 4.2, 0, 1])


@pytest.mark.parametrize(("patients", "level"), [(4, 0.8), (10, 0.9), (30, 0.9)])
def test_intervals_hold_for_new_patients_as_often_as_they_say(patients, level):
    inside, generator = [], np.random.default_rng(0)
    for _ in range(150):
        learned = Calibration.fit(*drawn(generator, patients))
        assert learned.level == pytest.approx(level) and (learned.cases, learned.units) == (2 * patients, patients)
        for confidence, dice, _ in zip(*drawn(generator, 5)):
            middle, low, high = learned(confidence)
            assert 0 <= low <= middle <= high <= 1
            inside.append(low <= dice <= high)
    assert level - 0.03 <= np.mean(inside)


def test_better_cases_have_shorter_intervals_and_less_confidence_never_more_dice():
    learned = Calibration.fit([0.5, 0.6, 0.7, 0.8, 0.9], [0.4, 0.6, 0.6, 0.8, 0.9], list("abcde"))
    bad, good = learned(0.6), learned(0.9)
    assert good[0] > bad[0] and good[2] - good[1] < bad[2] - bad[1]
    against = Calibration.fit([0.9, 0.8, 0.7, 0.6], [0.1, 0.5, 0.6, 0.9], list("abcd"))
    assert against.slope == 0 and against(0.2)[0] == against(0.9)[0] == pytest.approx(0.525)


def test_each_case_is_judged_by_other_patients():
    confidence, dice, owners = drawn(np.random.default_rng(3), 8)
    rows = held_out(confidence, dice, owners)
    others = owners != owners[0]
    middle, low, high = Calibration.fit(confidence[others], dice[others], owners[others])(confidence[0])
    assert rows[0] == {"dice": dice[0], "expected": middle, "low": low, "high": high}
    told = how_well(rows)
    assert told["cases"] == 16 and told["held"] == sum(row["low"] <= row["dice"] <= row["high"] for row in rows)
    assert told["half_width"] == pytest.approx(np.mean([row["high"] - row["low"] for row in rows]) / 2)
    assert how_well(rows[:2])["rank_correlation"] is None


def test_what_is_written_is_read_and_damage_is_named(tmp_path):
    assert Calibration.beside(tmp_path) is None
    learned = Calibration.fit([0.5, 0.7, 0.9], [0.4, 0.6, 0.9], list("abc"))
    learned.write(tmp_path)
    assert Calibration.beside(tmp_path) == Calibration.beside(tmp_path / "model.pt") == learned
    for text in (
        "{",
        "[]",
        "{}",
        json.dumps({**json.loads((tmp_path / "expected_dice.json").read_text()), "reach": "x"}),
    ):
        (tmp_path / "expected_dice.json").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=r"expected_dice\.json: no calibration of expected Dice"):
            Calibration.beside(tmp_path)
    with pytest.raises(InputError, match="2 independent cases with labels: intervals need at least 3"):
        Calibration.fit([0.5, 0.6, 0.7], [0.5, 0.6, 0.7], list("aab"))
