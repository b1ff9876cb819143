"""The table of expected Dice that inference writes beside segmentations."""

import pytest
import torch

from common.data import SaveExpectedDiced, read_expected
from common.errors import InputError
from common.metrics import Calibration, confidence_of
from common.transforms import ConfidenceSumsd


def maps(sure):
    own = torch.full((4, 4, 4), 1 - sure)
    own[:2] = sure
    return torch.stack([1 - own, own])


def test_cases_are_entered_once_the_lowest_first(tmp_path):
    learned = Calibration.fit([0.5, 0.6, 0.8, 0.9], [0.4, 0.5, 0.7, 0.9], list("abcd"))
    learned.write(tmp_path / "run")
    enter = SaveExpectedDiced("pred", str(tmp_path / "out"), str(tmp_path / "run" / "model.pt"))
    for case, sure in (("sure", 0.95), ("=unsure", 0.6), ("sure", 0.9)):
        enter({"pred": maps(sure), "case": case})
    rows = read_expected(tmp_path / "out" / "expected_dice.csv")
    assert [row["case"] for row in rows] == ["=unsure", "sure"]
    confidence = float(confidence_of(ConfidenceSumsd("pred")({"pred": maps(0.9)})["confidence"].numpy()).mean())
    wanted = dict(zip(("expected", "low", "high", "confidence"), (*learned(confidence), confidence)))
    assert {key: rows[1][key] for key in wanted} == pytest.approx(wanted, abs=1e-4)
    assert "'=unsure" in (tmp_path / "out" / "expected_dice.csv").read_text(encoding="utf-8")


def test_nothing_is_promised_for_a_network_that_is_not_calibrated(tmp_path):
    SaveExpectedDiced("pred", str(tmp_path / "out"), str(tmp_path))({"pred": maps(0.9), "case": "a"})
    assert not (tmp_path / "out").exists() and read_expected(tmp_path / "out" / "expected_dice.csv") == []
    (tmp_path / "expected_dice.csv").write_text("case,expected\na,high\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"expected_dice\.csv: no column low; inference writes a table"):
        read_expected(tmp_path / "expected_dice.csv")
