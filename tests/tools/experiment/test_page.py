"""A collected experiment as rows for a page."""

from tools.experiment.page import as_rows

ROW = {"runs": [[1, 1]], "hd95": 1.0, "asd": 1.0, "empty": 0.0, "seconds per step": None}
BASE = {**ROW, "title": "supervised", "dice": 0.5, "dice interval": [0.4, 0.6]}
GAIN = {"difference": 0.2, "difference interval": [0.1, 0.3], "no gain, corrected": 0.01}
BETTER = {**ROW, "title": "better", "dice": 0.7, "dice interval": [0.6, 0.8], **GAIN}


def rows(*lines):
    return as_rows({"baseline": "supervised", "tables": [{"rows": list(lines)}]}).splitlines()


def test_the_better_row_comes_first():
    assert rows(BASE, BETTER) == [
        "|  | Dice % | difference to supervised |",
        "| --- | --- | --- |",
        "| better | 70.00 (60.0 to 80.0) | +20.00 (10.0 to 30.0) |",
        "| supervised | 50.00 (40.0 to 60.0) |  |",
    ]


def test_what_lies_out_of_the_domain_has_columns_where_it_was_measured():
    away = {"domains": {"out_of_domain": [0.3, 0.2, 0.4]}, "difference by domain": {"out_of_domain": [0.1, 0.0, 0.2]}}
    header, _, better, base = rows(BASE, {**BETTER, **away})
    assert header == "|  | Dice % | difference to supervised | out of domain % | difference |"
    assert better.endswith("| 30.0 (20.0 to 40.0) | +10.0 (0.0 to 20.0) |") and base.endswith("|  |  |  |")
