"""The figures of released weights: one summary of ``evaluate``, in metadata and README alike."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files import read_json

COLUMNS = {"dice": ("Dice %", 100), "jaccard": ("Jaccard %", 100), "hd95": ("95HD", 1), "asd": ("ASD", 1)}
NOTES = ("dataset", "split", "cases", "empty", "unit", "labeled", "iterations", "seed", "largest_component")
TABLE = re.compile(r"<!-- results of the release -->\n(.*?)<!-- end of results -->", re.DOTALL)
THESE = "these weights"
NONE = "No figures were recorded for the weights of this release.\n"


def read_summary(path: str | Path, configuration: str) -> dict:
    """Figures of the weights: the ``summary.json`` of evaluate, or a record's only entry of this configuration."""
    summary = read_json(path, "--results takes the summary.json that evaluate wrote for these weights")
    if isinstance(summary, list):
        known = [entry for entry in summary if isinstance(entry, dict)]
        entries = [entry for entry in known if entry.get("configuration") == configuration]
        if len(entries) != 1:
            raise InputError(
                f"{path}: {len(entries)} entries of {configuration}; give the summary.json of these weights"
            )
        (summary,) = entries
    return {**_with_figures(summary, path), "configuration": THESE}


def figures_of(path: str | Path) -> dict:
    """What evaluate wrote to a ``summary.json``; ``InputError`` for a file that is none."""
    return _with_figures(read_json(path, "run the evaluate configuration of this run first"), path)


def _with_figures(summary: Any, path: str | Path) -> dict:
    groups = [summary.get(key) for key in ("mean", "std")] if isinstance(summary, dict) else [None]
    if not all(isinstance(group, dict) and all(_is_number(group.get(name)) for name in COLUMNS) for group in groups):
        raise InputError(f"{path}: expected mean and std of {', '.join(COLUMNS)}, as evaluate writes them")
    return summary


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def eval_metrics(summary: Mapping | None) -> dict[str, Any]:
    """``eval_metrics`` of the metadata: means rounded as the table rounds them, and what they were measured on."""
    if summary is None:
        return {}
    figures = {
        f"mean_{key}": round(summary["mean"][key], 4 if factor == 100 else 2) for key, (_, factor) in COLUMNS.items()
    }
    return figures | {key: summary[key] for key in NOTES if key in summary}


def performance(summary: Mapping | None) -> str:
    """The marked paragraph of the README that states the figures of the weights."""
    return f"<!-- results of the release -->\n{_table(summary)}<!-- end of results -->\n"


def _table(summary: Mapping | None) -> str:
    if summary is None:
        return NONE
    cells = [_spread(summary, key, factor) for key, (_, factor) in COLUMNS.items()]
    notes = "; ".join(f"{key.replace('_', ' ')}: {summary[key]}" for key in NOTES if key in summary)
    rows = [[title for title, _ in COLUMNS.values()], ["---"] * len(COLUMNS), cells]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows) + f"\nThe weights of this release. {notes}.\n"


def _spread(summary: Mapping, key: str, factor: int) -> str:
    return f"{factor * summary['mean'][key]:.2f} ± {factor * summary['std'][key]:.2f}"


def disagreement(readme: str, metadata: Mapping, record: Sequence[Mapping]) -> str | None:
    """How README, metadata and results file of a released bundle contradict each other, if they do."""
    own = [entry for entry in record if entry["configuration"] == THESE]
    summary = own[0] if own else None
    if metadata.get("eval_metrics", {}) != eval_metrics(summary):
        return "eval_metrics of metadata.json are not those of docs/results.json"
    shown = TABLE.search(readme)
    if (shown[1] if shown else None) != _table(summary):
        return "the figures of docs/README.md are not those of docs/results.json"
    return None
