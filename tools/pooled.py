"""Runs of one row over several draws of labels, as one entry of the record of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from common.files import read_json, read_table
from common.metrics import METRICS, Interval, bootstrap_mean, summarize, summarize_domains

GROUPS = ("domain_mean", "in_domain", "out_of_domain")
SHOWN = "dice"  # the metric with intervals


def read_rows(folder: Path) -> list[dict]:
    """Rows of ``metrics.csv`` with numbers as numbers."""
    rows = read_table(folder / "metrics.csv", "run the evaluate configuration of this run first", (*METRICS, "empty"))
    if not rows or not {"case", "class"} <= rows[0].keys():
        raise InputError(f"{folder / 'metrics.csv'}: no rows of cases and classes; evaluate the run again")
    return rows


def pooled(folders: Sequence[Path], against: Sequence[Path] = ()) -> dict[str, Any]:
    """An entry like ``summary.json`` for several runs that were measured on the same cases.

    Averages are over draws; ``std`` is that over cases of the mean of the draws. ``interval`` holds a 95 % interval of
    Dice, overall and, by domain, of each domain, ``domain_mean``, ``in_domain`` and ``out_of_domain``; ``gain`` the
    same for the paired difference to the runs ``against``, draw by draw.

    Args:
        folders: of the evaluations, one per draw, with ``metrics.csv`` and ``summary.json``.
        against: those of another row, in the same order of draws.

    Raises:
        InputError: for runs that were not measured on the same cases, and for rows of different numbers of draws.
    """
    runs = [read_rows(folder) for folder in folders]
    others = [read_rows(folder) for folder in against]
    keys = [[(row["case"], row["class"]) for row in rows] for rows in (*runs, *others)]
    for folder, names in zip((*folders, *against), keys):
        if names != keys[0]:
            raise InputError(f"{folder}: measured on other cases than {folders[0]}")
    if others and len(others) != len(runs):
        raise InputError(f"{len(runs)} draws cannot be paired with {len(others)} (against)")
    first = read_json(folders[0] / "summary.json", "evaluate writes it", dict)
    mean = [
        {**row, **{m: _mean([rows[i][m] for rows in runs]) for m in METRICS}, "empty": 0.0}
        for i, row in enumerate(runs[0])
    ]
    domains = summarize_domains(mean, first.get("labeled_domain")) if "domain" in mean[0] else {}
    seeds = [read_json(folder / "summary.json", "evaluate writes it", dict).get("seed") for folder in folders]
    entry = {**first, **summarize(mean), **domains, "draws": len(runs), "seed": ", ".join(map(str, seeds))}
    entry["empty"] = round(sum(row["empty"] for rows in runs for row in rows) / len(runs), 1)
    entry["interval"] = intervals(runs, first.get("labeled_domain"))
    if others:
        entry["gain"] = intervals(runs, first.get("labeled_domain"), others)
    return entry


def intervals(
    runs: Sequence[Sequence[Mapping]], labeled_domain: str | None, others: Sequence[Sequence[Mapping]] = ()
) -> dict[str, list[float]]:
    """Mean, lower and upper end of Dice by group of domains, or of its difference to ``others``."""
    cases = list(dict.fromkeys((row["case"], row.get("domain", "")) for row in runs[0]))
    names = [name for name, _ in cases]
    scores = _scores(runs, names) - (_scores(others, names) if others else 0)
    domain = np.array([domain for _, domain in cases])
    units = [patient_of(name) for name in names]
    groups = {"all": np.ones(len(cases), bool)}
    if domain[0]:
        groups |= {name: domain == name for name in dict.fromkeys(domain.tolist())}
        groups["domain_mean"] = groups["all"]
        if labeled_domain is not None:
            groups |= {"in_domain": domain == labeled_domain, "out_of_domain": domain != labeled_domain}
    found = {}
    for group, chosen in groups.items():
        if chosen.any():
            strata = domain[chosen].tolist() if group in GROUPS else None
            found[group] = _plain(bootstrap_mean(scores[:, chosen], strata, np.array(units)[chosen].tolist()))
    return found


def _scores(runs: Sequence[Sequence[Mapping]], names: Sequence[str]) -> np.ndarray:
    """Dice ``draws, cases``, the mean over classes of each case."""
    by_case: list[dict[str, list[float]]] = [{name: [] for name in names} for _ in runs]
    for found, rows in zip(by_case, runs):
        for row in rows:
            found[row["case"]].append(row[SHOWN])
    return np.array([[_mean(found[name]) for name in names] for found in by_case])


def patient_of(case: str) -> str:
    """What is independent: frames of one patient are named after it."""
    return case.split("_frame")[0]


def _plain(interval: Interval) -> list[float]:
    return [round(value, 5) for value in (interval.mean, interval.low, interval.high)]


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if value == value]
    return float(np.mean(known)) if known else float("nan")
