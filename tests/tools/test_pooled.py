import csv
import json

import pytest

from common.errors import InputError
from tools.pooled import pooled
from tools.results import table

CASES = [("a_frame1", "in"), ("a_frame2", "in"), ("b_frame1", "out"), ("c_frame1", "out"), ("d_frame1", "far")]


def evaluation(folder, scores, cases=CASES, seed=1):
    folder.mkdir(parents=True)
    rows = [
        {"case": c, "domain": d, "class": 1, "dice": s, "jaccard": s / 2, "hd95": 1, "asd": 1, "empty": s == 0}
        for (c, d), s in zip(cases, scores)
    ]
    with open(folder / "metrics.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "empty": float(row["empty"])} for row in rows)
    about = {"labeled_domain": "in", "labeled": 4, "iterations": 10, "seed": seed, "dataset": "x"}
    (folder / "summary.json").write_text(json.dumps(about))
    return folder


def test_draws_of_one_row_become_one_entry(tmp_path):
    one = evaluation(tmp_path / "1", [0.8, 0.6, 0.5, 0.3, 0.0], seed=1)
    two = evaluation(tmp_path / "2", [0.9, 0.7, 0.6, 0.4, 0.2], seed=2)
    base = [evaluation(tmp_path / f"b{n}", [0.7, 0.5, 0.5, 0.3, 0.0]) for n in (1, 2)]
    entry = pooled([one, two], base)
    assert entry["draws"] == 2 and entry["seed"] == "1, 2" and entry["empty"] == 0.5 and entry["cases"] == 5
    assert entry["domains"]["out"]["mean"]["dice"] == pytest.approx(0.45)
    assert entry["out_of_domain"]["dice"] == pytest.approx((0.45 + 0.1) / 2)
    mean, low, high = entry["interval"]["out_of_domain"]
    assert low < mean < high and mean == pytest.approx(0.275)
    assert entry["gain"]["in_domain"][0] == pytest.approx(0.15)
    about = {"method": "M", "configuration": "c", "seconds_per_step": 0.1, "reference": "S"}
    shown = table([{**entry, **about}], "c")
    head, _, row = shown.splitlines()
    assert head.endswith("| draws | out of domain % | difference |")
    assert "| 2 | 27.5 (" in row and row.endswith(" to S |")


def test_one_draw_has_intervals_over_its_cases(tmp_path):
    entry = pooled([evaluation(tmp_path / "1", [0.8, 0.6, 0.5, 0.3, 0.0])])
    mean, low, high = entry["interval"]["all"]
    assert entry["draws"] == 1 and low < mean < high


def test_rows_on_other_cases_cannot_be_pooled(tmp_path):
    one = evaluation(tmp_path / "1", [0.8] * 5)
    two = evaluation(tmp_path / "2", [0.8] * 4, CASES[1:])
    with pytest.raises(InputError, match="measured on other cases than"):
        pooled([one, two])
    with pytest.raises(InputError, match="1 draws cannot be paired with 2"):
        pooled([one], [evaluation(tmp_path / n, [0.5] * 5) for n in ("3", "4")])
