"""The record of measured results, ``docs/results.json`` of each bundle, and the tables made from it."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from common.errors import InputError, require_file
from common.files import atomic_path, read_json, read_table

from . import published
from .parity.certificate import CERTIFICATE, as_markdown
from .release.figures import figures_of
from .run import BUNDLES

RECORD = Path("docs") / "results.json"
KEY = ("method", "configuration", "dataset", "labeled", "iterations", "seed")
TABLE = re.compile(r"(<!-- results: (\S+) -->\n).*?(<!-- end of results -->)", re.DOTALL)
EXPERIMENT = re.compile(r"(<!-- experiment: (\S+) -->\n).*?(<!-- end of experiment -->)", re.DOTALL)
PARITY = re.compile(r"(<!-- parity -->\n).*?(<!-- end of parity -->)", re.DOTALL)
PUBLISHED = re.compile(r"(<!-- published -->\n).*?(<!-- end of published -->)", re.DOTALL)
RESULTS = Path("docs") / "results.md"
EXPERIMENT_FIGURES = "experiment writes the figures there"
INTRODUCTION = """# Results

Written by `python -m tools tables` from `docs/results.json` of each bundle. Mean ± standard deviation over cases, by
number of labels, then by Dice. Distances are in the unit given; "empty" counts empty predictions. One row is one run
or, where a column says so, several draws of the labels. Then Dice has a 95 % interval, over draws and cases (over
cases alone for one draw, which says nothing of others), and a difference is paired, draw by draw and case by case. A
difference without an interval is no claim, and settings of some rows were chosen on the cases they are measured on (the
pages of the bundles say which).
"""
EXPERIMENTS = Path("docs") / "experiments"
EXPERIMENTS_INTRODUCTION = """## Experiments

Made by `python -m tools experiment docs/experiments/<name>.yaml`, which also says what each row is. Means over draws of
the labels and cases, with 95 % intervals over both; differences are paired, draw by draw and case by case, their
probabilities corrected for the number of rows (Holm). Last checkpoints. Distances leave empty predictions out, which
"empty" counts, classes of all cases of a run. Three draws say little about others.
"""
FACTS = {
    "data": "dataset", "list": "split", "cases": "cases", "checkpoint": "checkpoint", "seed": "seed",
    "distances in": "unit", "empty masks": "empty_policy", "hardware": "hardware",
}  # fmt: skip
COLUMNS: dict[str, Callable[[Mapping], str]] = {
    "method": lambda r: r["method"],
    "labels": lambda r: str(r["labeled"]),
    "iterations": lambda r: f"{r['iterations']:,}",
    "Dice %": lambda r: _spread(r, "dice", 100),
    "Jaccard %": lambda r: _spread(r, "jaccard", 100),
    "95HD": lambda r: _spread(r, "hd95"),
    "ASD": lambda r: _spread(r, "asd"),
    "empty": lambda r: str(r["empty"]),
    "s / step": lambda r: f"{r['seconds_per_step']:.2f}",
}


def record(
    bundle: str,
    run: str | Sequence[str],
    method: str,
    configuration: str,
    hardware: str,
    split: str = "validation",
    timing: str | None = None,
    against: str | Sequence[str] = (),
    reference: str = "",
    evaluation: str = "",
) -> str:
    """Enter the figures of a finished run into the record of its bundle, in place of an earlier entry of the same run.

    A list of runs, one for each draw of the labels, makes one entry with 95 % intervals of Dice.

    Args:
        bundle: name of the bundle, or its folder.
        run: output folder of the run; ``<split>/summary.json`` (evaluate) and ``history.csv`` (train) are read. A list
            of them: runs of several draws, or of one.
        method: name of the row.
        configuration: layers the run was made with, as one word: ``la_quick``.
        hardware: what it ran on.
        split: evaluated list.
        timing: output folder of a run whose time per step is to be entered, where this one shared its machine.
        against: runs of another row in the same order of draws; the paired difference of Dice is entered.
        reference: name of that row.
        evaluation: folder inside each run that ``<split>`` lies in, such as ``unlabeled``, where it was evaluated with
            other statistics than those it was trained with. ``against`` is read as it was trained.
    """
    runs, path = [Path(name) for name in _several(run)], _bundle(bundle) / RECORD
    folders = [folder / evaluation / split for folder in runs]
    others = [Path(name) / split for name in _several(against)]
    for folder in (*folders, *others):
        require_file(folder / "summary.json", "run the evaluate configuration of this run first")
    clock = Path(timing or runs[0]) / "history.csv"
    rows = read_table(clock, "it should tell the time per step", ("seconds_per_step",))
    steps = [row["seconds_per_step"] for row in rows]
    if not steps:
        raise InputError(f"{clock}: no steps")
    pooled = not isinstance(run, str) or bool(others)
    entry = {
        **(_pooled(folders, others) if pooled else figures_of(folders[0] / "summary.json")),
        "method": method,
        "configuration": configuration,
        "seconds_per_step": statistics.median(steps),
        "hardware": hardware,
        **({"reference": reference} if reference else {}),
    }
    entries = [old for old in read_record(path) if any(old.get(key) != entry.get(key) for key in KEY)]
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps([*entries, entry], indent=1) + "\n", encoding="utf-8")
    return str(path)


def _several(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _pooled(folders: Sequence[Path], others: Sequence[Path]) -> dict:
    from .pooled import pooled  # the commonest use does without numpy and the metrics

    return pooled(folders, others)


def tables(check: bool = False) -> list[str]:
    """Write ``docs/results.md``, and what stands between marks in the READMEs of the repository and of its bundles.

    ``<!-- results: ... -->`` holds measured results, ``<!-- experiment: ... -->`` the first table of an experiment,
    ``<!-- parity -->`` the certificate of ``docs/parity.json``, ``<!-- published -->`` what ``docs/published.json``
    quotes, measured figures beside it.

    Args:
        check: only list the files that differ from their records.

    Returns:
        The files that changed, or would.
    """
    root = BUNDLES.parent
    own = {bundle: read_record(bundle / RECORD) for bundle in sorted(BUNDLES.iterdir()) if bundle.is_dir()}
    measured = results_page([entry for entries in own.values() for entry in entries])
    pages = {root / RESULTS: measured + experiments_page(root / EXPERIMENTS)}
    front = root / "README.md"
    pages[front] = _with_experiments(front.read_text(encoding="utf-8"), root / EXPERIMENTS)
    for bundle, entries in own.items():
        page = bundle / "docs" / "README.md"
        pages[page] = _filled(bundle, page.read_text(encoding="utf-8") if page.is_file() else "", entries)
    changed = []
    for page, text in pages.items():
        if text != (page.read_text(encoding="utf-8") if page.is_file() else ""):
            changed.append(str(page.relative_to(root)))
            if not check:
                with atomic_path(page) as temporary:
                    temporary.write_text(text, encoding="utf-8")
    return changed


def _with_experiments(text: str, folder: Path) -> str:
    return EXPERIMENT.sub(lambda mark: mark[1] + experiment_rows(folder / f"{mark[2]}.json") + mark[3], text)


def _filled(bundle: Path, text: str, entries: Sequence[Mapping]) -> str:
    """The page of a bundle, what stands between its marks made anew."""
    text = _with_experiments(text, BUNDLES.parent / EXPERIMENTS)
    text = TABLE.sub(lambda mark: mark[1] + table(entries, mark[2]) + mark[3], text)
    certificate, quoted = bundle / CERTIFICATE, bundle / published.PUBLISHED
    if certificate.is_file():
        shown = as_markdown(read_json(certificate, "it should hold a certificate of parity", dict))
        text = PARITY.sub(lambda mark: mark[1] + shown + mark[2], text)
    if quoted.is_file():
        beside = published.as_markdown(read_record(quoted), entries, BUNDLES.parent / EXPERIMENTS)
        text = PUBLISHED.sub(lambda mark: mark[1] + beside + mark[2], text)
    return text


def results_page(entries: Sequence[Mapping]) -> str:
    """All entries as one page: a table for each configuration, under what its rows have in common."""
    parts = [INTRODUCTION]
    for configuration in sorted({entry["configuration"] for entry in entries}):
        chosen = [entry for entry in entries if entry["configuration"] == configuration]
        facts = "; ".join(f"{title} {_all(chosen, key)}" for title, key in FACTS.items() if _all(chosen, key))
        parts.append(f"## {configuration}\n\n{facts}.\n\n{table(entries, configuration)}")
    return "\n".join(parts)


def experiment_rows(path: Path) -> str:
    """The first table of an experiment, for a page that links to all of it."""
    from .experiment.page import as_rows

    return as_rows(read_json(path, EXPERIMENT_FIGURES, dict))


def experiments_page(folder: Path) -> str:
    """The tables of all experiments whose figures lie in a folder."""
    files = [path for path in sorted(folder.glob("*.json")) if path.with_suffix(".yaml").is_file()]
    if not files:
        return ""
    from .experiment.page import as_markdown

    parts = [as_markdown(read_json(path, EXPERIMENT_FIGURES, dict)) for path in files]
    return "\n" + "\n".join([EXPERIMENTS_INTRODUCTION, *parts])


def _all(entries: Sequence[Mapping], key: str) -> str:
    """The values of a fact, each once."""
    values = [entry[key] for entry in entries if entry.get(key) not in (None, "")]
    return ", ".join(dict.fromkeys(str(value) for value in values))


def table(entries: Sequence[Mapping], configuration: str) -> str:
    """Markdown table of the entries of one configuration, by number of labels, then by Dice.

    Entries that were measured by domain have a column of Dice for each domain.
    """
    chosen = sorted(
        (entry for entry in entries if entry["configuration"] == configuration),
        key=lambda entry: (entry["labeled"], entry["mean"]["dice"]),
    )
    domains = dict.fromkeys(name for entry in chosen for name in entry.get("domains", ()))
    columns: dict[str, Callable[[Mapping], str]] = {
        **COLUMNS,
        **{f"Dice % {name}": partial(_domain, name=name) for name in domains},
    }
    measured = [entry for entry in chosen if "interval" in entry]
    columns |= {"draws": PARTS["draws"]} if measured else {}
    if any("out_of_domain" in entry["interval"] for entry in measured):
        columns["out of domain %"] = PARTS["out_of_domain"]
    columns |= {"difference": PARTS["gain"]} if any("gain" in entry for entry in measured) else {}
    if measured:
        columns["Dice %"] = _with_interval
    rows = [list(columns), ["---"] * len(columns), *([cell(entry) for cell in columns.values()] for entry in chosen)]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def _spread(entry: Mapping, metric: str, factor: float = 1) -> str:
    return f"{factor * entry['mean'][metric]:.2f} ± {factor * entry['std'][metric]:.2f}"


def _with_interval(entry: Mapping) -> str:
    """Mean over domains, where there are several, with its 95 % interval."""
    return _ends(entry.get("interval", {})) or _spread(entry, "dice", 100)


def _ends(found: Mapping, group: str | None = None) -> str:
    ends = found.get(group or ("domain_mean" if "domain_mean" in found else "all"))
    return "{:.1f} ({:.1f} to {:.1f})".format(*(100 * value for value in ends)) if ends else ""


def _difference(entry: Mapping) -> str:
    """Paired difference of Dice to the row that is named, out of the domain where there is one."""
    found = entry.get("gain", {})
    shown = _ends(found, "out_of_domain") if "out_of_domain" in found else _ends(found)
    return f"{shown} to {entry['reference']}" if shown and "reference" in entry else shown


PARTS: dict[str, Callable[[Mapping], str]] = {
    "draws": lambda entry: str(entry.get("draws", 1)),
    "out_of_domain": lambda entry: _ends(entry.get("interval", {}), "out_of_domain"),
    "gain": _difference,
}


def _domain(entry: Mapping, name: str) -> str:
    domain = entry.get("domains", {}).get(name)
    return f"{100 * domain['mean']['dice']:.2f}" if domain else ""


def _bundle(name: str) -> Path:
    for path in (BUNDLES / name, Path(name)):
        if path.is_dir():
            return path
    raise InputError(f"{BUNDLES / name}: no such bundle")


def read_record(path: Path) -> list[dict]:
    """Entries of a record, none where there is no file."""
    entries = read_json(path, "it should list measured figures", list) if path.is_file() else []
    if not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path}: expected a list of entries, each a mapping from names to figures")
    return entries
