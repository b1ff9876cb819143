"""A published figure and a measured one never share a cell, and a measured one that is not there is an error."""

import json

import pytest

from common.errors import InputError
from tools.published import as_markdown

ROW = {"data": "atrium", "labels": "4 of 80", "dice": 86.3, "hd95": 9.97, "checkpoint": "best on test", "source": "A"}


@pytest.fixture
def experiments(tmp_path):
    row = {"title": "Method", "dice": 0.8278, "dice interval": [0.793, 0.857]}
    content = {"title": "Equal", "tables": [{"rows": [row]}]}
    (tmp_path / "la.json").write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def last_row(rows, record, folder):
    return [line for line in as_markdown(rows, record, folder).splitlines() if line.startswith("|")][-1]


def test_columns(experiments):
    quoted = "| atrium | 4 of 80 | 86.30 |  | 9.97 |  | best on test | "
    assert last_row([ROW], [], experiments) == quoted + " |"
    of_experiment = {**ROW, "measured": {"experiment": "la", "row": "Method"}}
    assert last_row([of_experiment], [], experiments) == quoted + "82.78 (79.3 to 85.7), Equal |"
    entry = {"configuration": "quick", "labeled": 4, "split": "validation", "mean": {"dice": 0.5}}
    of_record = {**ROW, "measured": {"configuration": "quick", "labeled": 4}}
    assert last_row([of_record], [entry], experiments) == quoted + "50.00, `quick`, list validation |"
    assert as_markdown([ROW, ROW], [], experiments).startswith("Published: A.\n\n| data |")


@pytest.mark.parametrize("where", [{"experiment": "la", "row": "Other"}, {"configuration": "quick", "labeled": 8}])
def test_a_measured_figure_that_is_gone_is_an_error(experiments, where):
    with pytest.raises(InputError, match="0 (rows|measured entries)"):
        last_row([{**ROW, "measured": where}], [], experiments)
