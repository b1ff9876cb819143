import csv
import json
from pathlib import Path

import pytest

from common.errors import InputError
from tools import results


def entry(**changes):
    metrics = {"dice": 0.75, "jaccard": 0.6, "hd95": 5.0, "asd": 1.25}
    return {
        "method": "A",
        "configuration": "la_quick",
        "mean": metrics,
        "std": dict.fromkeys(metrics, 0.1),
        "labeled": 4,
        "iterations": 1000,
        "empty": 1,
        "seconds_per_step": 0.5,
        **changes,
    }


@pytest.fixture
def repository(tmp_path, monkeypatch):
    docs = tmp_path / "bundles" / "x_segmentation" / "docs"
    docs.mkdir(parents=True)
    page = "before\n<!-- results: la_quick -->\nold\n<!-- end of results -->\nafter\n"
    (docs / "README.md").write_text(page, encoding="utf-8")
    (tmp_path / "README.md").write_text(page, encoding="utf-8")
    monkeypatch.setattr(results, "BUNDLES", tmp_path / "bundles")
    return tmp_path


def write_run(folder, dice, seconds=(1.0, 2.0, 9.0)):
    (folder / "validation").mkdir(parents=True)
    summary = {**entry(), "dataset": "la", "seed": 1}
    summary["mean"] = {**summary["mean"], "dice": dice}
    (folder / "validation" / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    with open(folder / "history.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["seconds_per_step"], *([value] for value in seconds)])


def test_table_sorts_by_labels_then_dice_and_leaves_other_configurations_out():
    best = entry(method="B", mean={**entry()["mean"], "dice": 0.8})
    lines = results.table([entry(labeled=8), best, entry(), entry(configuration="acdc")], "la_quick").splitlines()
    assert [line.split(" | ")[:2] for line in lines[2:]] == [["| A", "4"], ["| B", "4"], ["| A", "8"]]
    assert lines[3] == "| B | 4 | 1,000 | 80.00 ± 10.00 | 60.00 ± 10.00 | 5.00 ± 0.10 | 1.25 ± 0.10 | 1 | 0.50 |"


def test_domains_have_columns_of_their_own():
    by_domain = {name: {"mean": {"dice": value}} for name, value in (("benign", 0.7), ("malignant", 0.5))}
    head, _, *lines = results.table([entry(domains=by_domain), entry(method="B")], "la_quick").splitlines()
    assert head.endswith("| s / step | Dice % benign | Dice % malignant |")
    assert [line.split(" | ", 9)[-1] for line in lines] == ["70.00 | 50.00 |", " |  |"]


def test_record_replaces_the_entry_of_the_same_run_and_takes_the_median_step(repository, tmp_path):
    arguments = {"method": "A", "configuration": "la_quick", "hardware": "2 cores"}
    for number, dice in enumerate((0.5, 0.7)):
        write_run(tmp_path / str(number), dice)
        path = results.record("x_segmentation", str(tmp_path / str(number)), **arguments)
    write_run(tmp_path / "alone", 0.1, seconds=(0.5,))
    timing = str(tmp_path / "alone")
    results.record("x_segmentation", str(tmp_path / "1"), timing=timing, **{**arguments, "method": "B"})
    entries = json.loads(Path(path).read_text(encoding="utf-8"))
    assert [(e["method"], e["mean"]["dice"], e["seconds_per_step"]) for e in entries] == [
        ("A", 0.7, 2.0),
        ("B", 0.7, 0.5),
    ]


def test_tables_fill_the_marks_once(repository, tmp_path):
    write_run(tmp_path / "run", 0.7)
    results.record("x_segmentation", str(tmp_path / "run"), "A", "la_quick", "2 cores")
    pages = ["docs/results.md", "bundles/x_segmentation/docs/README.md"]
    assert results.tables(check=True) == pages
    assert not (repository / pages[0]).exists() and "old" in (repository / pages[1]).read_text(encoding="utf-8")
    assert results.tables() == pages
    assert results.tables() == []
    text = (repository / pages[1]).read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- results: la_quick -->\n| method |") and text.endswith(
        "of results -->\nafter\n"
    )
    assert "old" not in text and "70.00 ± 10.00" in text
    page = (repository / pages[0]).read_text(encoding="utf-8")
    assert "## la_quick" in page and "70.00 ± 10.00" in page and "hardware 2 cores" in page


def test_mistakes_are_named(repository, tmp_path):
    with pytest.raises(InputError, match="y_segmentation: no such bundle"):
        results.record("y_segmentation", str(tmp_path), "A", "la_quick", "2 cores")
    with pytest.raises(InputError, match="summary.json"):
        results.record("x_segmentation", str(tmp_path), "A", "la_quick", "2 cores")


def test_readmes_show_what_the_records_say():
    assert results.tables(check=True) == []
