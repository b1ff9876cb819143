"""Figures of a table against those made by hand."""

import csv
import json

import pytest

from common.errors import InputError
from tools.experiment.collect import collect
from tools.experiment.file import read_experiment
from tools.experiment.page import as_markdown
from tools.results import experiments_page

TEXT = """
title: A table
splits: draw_{draw}.json
labeled: 2
draws: [1, 2]
baseline: base
rows:
  base: {title: supervised, bundle: meanteacher_segmentation, layers: [supervised]}
  better: {title: better, bundle: meanteacher_segmentation}
  worse: {title: made elsewhere, predictions: "PLACE/{run}"}
"""
DICE = {
    "base": [[0.5, 0.6, 0.7], [0.5, 0.4, 0.3]],
    "better": [[0.6, 0.7, 0.8], [0.6, 0.5, 0.4]],
    "worse": [[0.5, 0.1, 0.7], [0.0, 0.1, 0.1]],
}


@pytest.fixture
def made(tmp_path):
    for draw in (1, 2):
        (tmp_path / f"draw_{draw}.json").write_text('{"train": ["a"]}', encoding="utf-8")
    path = tmp_path / "table.yaml"
    path.write_text(TEXT.replace("PLACE", str(tmp_path / "elsewhere")), encoding="utf-8")
    for row, draws in DICE.items():
        place = tmp_path / ("elsewhere" if row == "worse" else "runs")
        for number, scores in enumerate(draws, 1):
            write(place / f"{row}-2-draw{number}-seed1337" / "test", scores)
    return path


def write(folder, scores, domains=()):
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "metrics.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["case", "class", "dice", "jaccard", "hd95", "asd", "empty", *(["domain"] if domains else [])])
        for name, dice, domain in zip("xyz", scores, domains or [()] * 3):
            writer.writerow([name, 1, dice, dice / 2, 0 if dice == 0 else 10 * dice, 1.0, float(dice == 0), *domain])
    (folder / "summary.json").write_text('{"labeled_domain": "a"}' if domains else "{}", encoding="utf-8")


def collected(path):
    experiment = read_experiment(path)
    return collect(experiment, experiment.jobs(), path.parent / "runs")


def test_means_differences_and_ranks(made):
    (table,) = collected(made)["tables"]
    base, better, worse = table["rows"]
    assert base["dice"] == pytest.approx(0.5) and better["dice"] == pytest.approx(0.6)
    assert better["difference"] == pytest.approx(0.1)
    assert better["difference interval"] == pytest.approx([0.1, 0.1])
    assert worse["difference"] == pytest.approx((0 - 0.5 + 0 - 0.5 - 0.3 - 0.2) / 6, abs=1e-5)
    assert worse["difference interval"][0] < worse["difference"] < worse["difference interval"][1]
    assert better["no gain"] == pytest.approx(2 / 4001)
    assert better["no gain, corrected"] == pytest.approx(4 / 4001, abs=1e-5)
    assert better["rank"] == 1 and base["rank"] == pytest.approx((2.5 + 2 + 2.5 + 2 + 2 + 2) / 6, abs=1e-3)
    assert worse["empty"] == 0.5
    assert worse["hd95"] == pytest.approx((5 + 1 + 7 + 1 + 1) / 5)  # the empty one has no distance
    assert base["cases"] == ["x", "y", "z"] and base["dice of cases"] == DICE["base"]


def test_the_table_is_sorted_and_stands_on_the_page(made):
    content = collected(made)
    text = as_markdown({**content, "conditions": "on a laptop"})
    assert "on a laptop" in text and "2 labeled, list test, 3 cases" in text
    assert text.index("better") < text.index("made elsewhere")
    assert "| better | 2 | 60.00 (" in text and "+10.00 (10.0 to 10.0)" in text
    (made.parent / "table.json").write_text(json.dumps(content), encoding="utf-8")
    assert "## A table" in experiments_page(made.parent)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_what_the_choice_of_a_checkpoint_adds_is_a_column_of_its_row(made, split):
    text = made.read_text(encoding="utf-8")
    best = "  best: {of: better, evaluate: {checkpoint: model_best.pt}}\n"
    made.write_text(f"{text}{best}evaluate: {split}\n", encoding="utf-8")
    for draw, gain in ((1, 0.1), (2, 0.3)):
        name = f"2-draw{draw}-seed1337"
        scores = DICE["better"][draw - 1]
        write(made.parent / "runs" / f"better-{name}" / split, scores)
        write(made.parent / "runs" / f"best-{name}" / split, [score + gain for score in scores])
    content = collected(made)
    row = next(row for row in content["tables"][0]["rows"] if row["name"] == "better")
    assert {row["name"] for row in content["tables"][0]["rows"]} <= {*DICE}
    assert row["best"][0] == pytest.approx(0.2)
    assert row["best"][1:] == pytest.approx([0.1, 0.3])
    lines = [line for line in as_markdown(content).splitlines() if line.startswith("| ")]
    header, line = lines[0], next(line for line in lines if line.startswith("| better"))
    where = "on these cases" if split == "validation" else "in validation"
    assert header.endswith(f"| best checkpoint {where} adds |") and line.endswith("| +20.00 (10.0 to 30.0) |")


def test_rows_measured_on_other_cases_are_refused(made):
    path = made.parent / "runs" / "better-2-draw2-seed1337" / "test" / "metrics.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("\nz,", "\nq,"), encoding="utf-8")
    with pytest.raises(InputError, match="better-2-draw2-seed1337.*other cases"):
        collected(made)


def test_domains_have_dice_and_paired_differences_of_their_own(made):
    for row, draws in DICE.items():
        place = made.parent / ("elsewhere" if row == "worse" else "runs")
        for number, scores in enumerate(draws, 1):
            write(place / f"{row}-2-draw{number}-seed1337" / "test", scores, "abb")
    content = collected(made)
    base, better, worse = content["tables"][0]["rows"]
    assert base["domains"]["in_domain"][0] == pytest.approx(0.5)
    assert base["domains"]["out_of_domain"][0] == pytest.approx((0.6 + 0.7 + 0.4 + 0.3) / 4)
    assert base["domains"]["domain_mean"][0] == pytest.approx(0.5) and "difference by domain" not in base
    assert better["difference by domain"]["out_of_domain"] == pytest.approx([0.1, 0.1, 0.1])
    assert worse["difference by domain"]["in_domain"][0] == pytest.approx(-0.25)
    text = as_markdown({**content, "conditions": ""})
    assert "| mean of domains % | difference | in domain % | difference | out of domain % | difference |" in text
    assert "| +10.0 (10.0 to 10.0) |" in text and "domain" not in as_markdown(_without_domains(content))


def _without_domains(content):
    keys = ("domains", "difference by domain")
    return {
        **content,
        "tables": [
            {**table, "rows": [{key: value for key, value in row.items() if key not in keys} for row in table["rows"]]}
            for table in content["tables"]
        ],
    }
