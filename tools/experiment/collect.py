"""From run folders to one table: paired differences, intervals, ranks."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from common.files import read_json, read_table
from common.metrics import METRICS, bootstrap_mean
from common.metrics.bootstrap import probability_of_no_gain

from ..pooled import intervals, patient_of, read_rows
from .file import Experiment, Job


def collect(experiment: Experiment, jobs: Sequence[Job], root: Path) -> dict[str, Any]:
    """What the evaluated runs say, as plain values: ``{"experiment", "tables": [...]}``.

    There is a table for each label count and evaluated list. A row holds the mean over draws (and seeds) and cases of
    each metric, Dice with its 95 % interval over draws and cases, the paired difference to the baseline, its interval
    and its probability of being no gain, corrected for the number of comparisons (Holm), the mean rank among the rows,
    and the Dice of each case in each run, so that later rows can be paired with it. Cases of several domains add Dice
    and differences by domain, each with its interval, see ``tools.pooled.intervals``. Where the best checkpoint in
    validation is evaluated too, a row has what it adds (``best``): on the list ``validation`` that is the inflation by
    choosing on the cases that are measured.
    """
    tables = []
    for labeled in dict.fromkeys(job.labeled for job in jobs):
        for split in experiment.evaluate:
            found = _rows(experiment, [job for job in jobs if job.labeled == labeled], root, split)
            selected = {row.name: row.of for row in experiment.rows if row.is_selected}
            rows = [part for part in found if part[0]["name"] not in selected]
            if rows:
                compared = _compared([row for row, _ in rows], experiment.baseline)
                _by_domain(rows, experiment.baseline)
                for best in (row for row, _ in found if row["name"] in selected):
                    _add_gain_of_choice(best, [row for row in compared if row["name"] == selected[best["name"]]])
                tables.append({"labeled": labeled, "list": split, "rows": compared})
    return {"experiment": experiment.name, "title": experiment.title, "baseline": experiment.baseline,
            "tables": tables}  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """What the runs of a row were measured to be, in the order of the runs."""

    runs: Sequence[Sequence[Mapping]]
    labeled_domain: str | None


def _rows(experiment: Experiment, jobs: Sequence[Job], root: Path, split: str) -> list[tuple[dict, Measured]]:
    made = []
    for row in experiment.rows:
        found = []
        for job in (job for job in jobs if job.row is row):
            elsewhere = Path(row.predictions.format(run=job.name)) / split
            results = elsewhere if row.predictions else job.results(root, split)
            if (results / "metrics.csv").is_file():
                found.append((job, results, read_rows(results)))
        if found:
            summary = found[0][1] / "summary.json"
            about = read_json(summary, "evaluate writes it", dict) if summary.is_file() else {}
            measured = Measured([rows for _, _, rows in found], about.get("labeled_domain"))
            made.append((_row(row.name, row.title, found, root), measured))
    return made


def _by_domain(rows: Sequence[tuple[dict, Measured]], baseline: str) -> None:
    """Add Dice by domain, and its paired difference to the baseline over the runs that both have."""
    base, first = next(((row, measured) for row, measured in rows if row["name"] == baseline), (None, None))
    for row, measured in rows:
        if "domain" not in measured.runs[0][0]:
            continue
        row["domains"] = intervals(measured.runs, measured.labeled_domain)
        if base is not None and "difference" in row:
            shared = [run for run in row["runs"] if run in base["runs"]]
            own, other = (
                [part.runs[line["runs"].index(run)] for run in shared]
                for line, part in ((row, measured), (base, first))
            )
            row["difference by domain"] = intervals(own, measured.labeled_domain, other)


def _row(name: str, title: str, found: Sequence[tuple[Job, Path, list[dict]]], root: Path) -> dict:
    per_run = [_by_case(rows) for _, _, rows in found]
    cases = sorted(per_run[0])
    for (_, results, _), other in zip(found, per_run):
        if sorted(other) != cases:
            raise InputError(f"{results}: measured on other cases than {found[0][1]}")
    means = {m: _mean([rows[case][m] for rows in per_run for case in cases]) for m in METRICS}
    return {
        "name": name,
        "title": title,
        "runs": [[job.draw, job.seed] for job, _, _ in found],
        **{metric: round(means[metric], 5) for metric in METRICS},
        "empty": sum(row["empty"] for _, _, rows in found for row in rows) / len(found),
        "seconds per step": _clock([root / (job.after if job.row.of else job.name) for job, _, _ in found]),
        "cases": cases,
        "dice of cases": [[round(rows[case]["dice"], 5) for case in cases] for rows in per_run],
    }


def _compared(rows: Sequence[dict], baseline: str) -> list[dict]:
    """Rows with intervals, with differences to the baseline over the runs that both have, and ranks."""
    base = next((row for row in rows if row["name"] == baseline), None)
    for row in rows:
        scores = np.array(row["dice of cases"])
        row["dice interval"] = _ends(scores, row["cases"])
        shared = [run for run in row["runs"] if base is not None and run in base["runs"]]
        if base is None or row is base or not shared or row["cases"] != base["cases"]:
            continue
        differences = scores[[row["runs"].index(run) for run in shared]]
        differences = differences - np.array(base["dice of cases"])[[base["runs"].index(run) for run in shared]]
        units = [patient_of(case) for case in row["cases"]]
        row["difference"] = round(float(differences.mean()), 5)
        row["difference interval"] = _ends(differences, row["cases"])
        row["no gain"] = probability_of_no_gain(differences, units=units)
    _correct([row for row in rows if "no gain" in row])
    _rank(rows)
    return list(rows)


def _add_gain_of_choice(best: Mapping, last: Sequence[dict]) -> None:
    """Give a row the Dice that the best checkpoint has more than the last one, over the runs that have both."""
    for row in last:
        shared = [run for run in row["runs"] if run in best["runs"]]
        if shared and row["cases"] == best["cases"]:
            own, other = (
                np.array(part["dice of cases"])[[part["runs"].index(run) for run in shared]] for part in (best, row)
            )
            row["best"] = [round(float((own - other).mean()), 5), *_ends(own - other, row["cases"])]


def _ends(scores: np.ndarray, cases: Sequence[str]) -> list[float]:
    found = bootstrap_mean(scores, units=[patient_of(case) for case in cases])
    return [round(found.low, 5), round(found.high, 5)]


def _correct(rows: Sequence[dict]) -> None:
    """Holm's correction: the smallest of n probabilities times n, the next times n - 1, never falling."""
    worst = 0.0
    for place, row in enumerate(sorted(rows, key=lambda row: row["no gain"])):
        worst = max(worst, min((len(rows) - place) * row["no gain"], 1.0))
        row["no gain, corrected"] = round(worst, 5)


def _rank(rows: Sequence[dict]) -> None:
    """Mean rank of each row over runs and cases, 1 the best, among rows of the same runs and cases."""
    complete = [row for row in rows if (row["runs"], row["cases"]) == (rows[0]["runs"], rows[0]["cases"])]
    if len(complete) < 2:
        return
    scores = np.array([row["dice of cases"] for row in complete])
    above = (scores[None] > scores[:, None]).sum(axis=1)
    equal = (scores[None] == scores[:, None]).sum(axis=1)
    ranks = above + (equal + 1) / 2
    for row, own in zip(complete, ranks):
        row["rank"], row["rank interval"] = round(float(own.mean()), 3), _ends(own, row["cases"])


def _by_case(rows: Sequence[Mapping]) -> dict[str, dict[str, float]]:
    """Metrics of each case, the mean over its classes; an empty prediction has no distances, whatever the policy."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        for metric in METRICS:
            lost = row["empty"] and metric in ("hd95", "asd")
            found.setdefault(row["case"], {}).setdefault(metric, []).append(float("nan") if lost else row[metric])
    return {case: {metric: _mean(values) for metric, values in of.items()} for case, of in found.items()}


def _clock(folders: Sequence[Path]) -> float | None:
    steps = []
    for path in (folder / "history.csv" for folder in folders):
        if path.is_file():
            rows = read_table(path, "it should tell the time per step", ("seconds_per_step",))
            steps += [row["seconds_per_step"] for row in rows]
    return round(statistics.median(steps), 4) if steps else None


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if value == value]
    return float(np.mean(known)) if known else float("nan")
