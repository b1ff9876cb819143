import math

import numpy as np
import pytest

from common.metrics import (
    METRICS,
    case_metrics,
    dice,
    jaccard,
    summarize,
    summarize_domains,
    surface_distances,
)

SHAPE = (3, 4)


def label_map(**places):
    """A map of zeros with ``c1=(row, column)`` and the like set to their class."""
    result = np.zeros(SHAPE, np.uint8)
    for name, place in places.items():
        result[place] = int(name[1:])
    return result


def row(case, number, value, hd95=None, empty=0.0):
    return {"case": case, "class": number, "dice": value, "jaccard": value / 2,
            "hd95": value * 10 if hd95 is None else hd95, "asd": value * 3, "empty": empty}  # fmt: skip


def test_every_foreground_class_gets_the_metrics_of_its_masks():
    rng = np.random.default_rng(0)
    pred, label = rng.integers(0, 3, (8, 9)), rng.integers(0, 3, (8, 9))
    rows = case_metrics(pred, label, classes=3, spacing=(2.0, 1.0))
    assert [r["class"] for r in rows] == [1, 2]
    for r in rows:
        a, b = pred == r["class"], label == r["class"]
        hd95, asd = surface_distances(a, b, (2.0, 1.0))
        assert r == {"class": r["class"], "dice": dice(a, b), "jaccard": jaccard(a, b), "hd95": hd95, "asd": asd,
                     "empty": 0.0}  # fmt: skip


DIAGONAL = 5.0
NAN = math.nan


@pytest.mark.parametrize(
    ("policy", "pred", "label", "expected", "empty"),
    [
        ("official", {}, {"c1": (0, 0)}, (0, 0, 0, 0), 1),
        ("official", {"c1": (0, 0)}, {}, (0, 0, 0, 0), 0),
        ("official", {}, {}, (0, 0, 0, 0), 0),
        ("penalised", {}, {"c1": (0, 0)}, (0, 0, DIAGONAL, DIAGONAL), 1),
        ("penalised", {"c1": (0, 0)}, {}, (0, 0, DIAGONAL, DIAGONAL), 0),
        ("penalised", {}, {}, (1, 1, 0, 0), 0),
        ("nan", {}, {"c1": (0, 0)}, (0, 0, NAN, NAN), 1),
        ("nan", {"c1": (0, 0)}, {}, (0, 0, NAN, NAN), 0),
    ],
)
def test_empty_masks_score_what_the_policy_says(policy, pred, label, expected, empty):
    (result,) = case_metrics(label_map(**pred), label_map(**label), classes=2, empty_policy=policy)
    assert [result[m] for m in METRICS] == pytest.approx(expected, nan_ok=True)
    assert result["empty"] == empty


def test_penalty_is_the_diagonal_in_the_given_spacing():
    (result,) = case_metrics(label_map(), label_map(c1=(0, 0)), 2, spacing=(4.0, 4.0), empty_policy="penalised")
    assert result["hd95"] == pytest.approx(20)


@pytest.mark.parametrize("policy", ["official", "penalised", "nan"])
def test_policies_do_not_change_classes_that_are_present(policy):
    pred, label = label_map(c1=(0, 0)), label_map(c1=(0, 2))
    (result,) = case_metrics(pred, label, 2, empty_policy=policy)
    assert [result[m] for m in METRICS] == [0, 0, 2, 2]


def test_unknown_policy_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="penalised.*'zero'"):
        case_metrics(label_map(), label_map(), 2, empty_policy="zero")


def test_maps_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="shape"):
        case_metrics(np.zeros((3, 4)), np.zeros((3, 1)), 2)


def test_summary_averages_over_cases_and_then_over_classes():
    summary = summarize([row("a", 1, 0.2), row("a", 2, 0.6), row("b", 1, 0.4), row("b", 2, 1.0, empty=1.0)])
    assert summary["classes"]["1"]["dice"] == pytest.approx(0.3)
    assert summary["classes"]["2"]["dice"] == pytest.approx(0.8)
    assert summary["mean"]["dice"] == pytest.approx(0.55)
    assert summary["mean"]["asd"] == pytest.approx(0.55 * 3)
    assert (summary["cases"], summary["empty"]) == (2, 1)


def test_summary_deviation_is_that_of_the_cases_class_means():
    summary = summarize([row("a", 1, 0.2), row("a", 2, 0.6), row("b", 1, 0.4), row("b", 2, 1.0)])
    assert summary["std"]["dice"] == pytest.approx(np.std([0.4, 0.7], ddof=1))


def test_summary_of_one_case_has_no_deviation():
    assert summarize([row("a", 1, 0.2)])["std"] == dict.fromkeys(METRICS, 0.0)


def test_missing_distances_are_left_out_of_averages():
    summary = summarize([row("a", 1, 0.5, hd95=4.0), row("b", 1, 0.5, hd95=math.nan), row("c", 1, 0.5, hd95=8.0)])
    assert summary["mean"]["hd95"] == pytest.approx(6)
    assert summary["std"]["hd95"] == pytest.approx(np.std([4, 8], ddof=1))
    assert summary["mean"]["dice"] == pytest.approx(0.5)


def test_nested_parts_are_unions_of_classes():
    label, pred = np.array([[0, 1, 2, 2]]), np.array([[1, 1, 2, 0]])
    cup, disc = case_metrics(pred, label, 3, parts={"cup": [1], "disc": [1, 2]})
    assert (cup["class"], cup["dice"]) == ("cup", pytest.approx(2 / 3))
    assert (disc["class"], disc["dice"]) == ("disc", pytest.approx(4 / 6))


def test_an_empty_prediction_may_cost_100():
    label, empty = np.array([[1, 0]]), np.array([[0, 0]])
    for truth in (label, empty):
        (row,) = case_metrics(empty, truth, 2, empty_policy="distance_100")
        assert [row[m] for m in ("dice", "jaccard", "hd95", "asd")] == [0, 0, 100, 100]


def test_domains_count_alike_whatever_their_size():
    def row(case, domain, dice):
        return {"case": case, "domain": domain, "class": 1, "dice": dice, "jaccard": 0, "hd95": 1, "asd": 1, "empty": 0}

    rows = [row("a", "A", 1.0), row("b", "A", 0.0), row("c", "B", 0.8), row("d", "C", 0.2)]
    summary = summarize_domains(rows, labeled_domain="A")
    assert summary["domains"]["A"]["mean"]["dice"] == 0.5 and summary["domains"]["A"]["cases"] == 2
    assert summary["domain_mean"]["dice"] == pytest.approx(0.5)
    assert (summary["in_domain"]["dice"], summary["out_of_domain"]["dice"]) == (0.5, 0.5)
    assert "out_of_domain" not in summarize_domains(rows[:2], labeled_domain="A")
    assert set(summarize_domains(rows)) == {"domains", "domain_mean"}
