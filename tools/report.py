"""A table, curves and overlays of finished runs, in one HTML page."""

from __future__ import annotations

import csv
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import nibabel
import numpy as np
from jinja2 import Environment, PackageLoader

from common.data.expected import TABLE, read_expected
from common.datasets.lists import load_json
from common.errors import InputError, printable
from common.files import atomic_path
from common.outlines import draw_outlines, fullest_slice

from .runs import require_run

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402  (the backend must be chosen first)

COLUMNS = (("dice", "Dice %", 100), ("jaccard", "Jaccard %", 100), ("hd95", "95HD", 1), ("asd", "ASD", 1))


def report(
    runs: Mapping[str, str], dataset_dir: str | None = None, output: str = "report", split: str = "validation"
) -> str:
    """Write ``index.html`` with pictures, and ``table.md``, into the folder ``output``.

    Args:
        runs: name of each method and the output folder of its run: ``<split>/summary.json`` (evaluate),
            ``history.csv`` (train) and ``predictions/`` (inference) are read from it, the last two if present, and
            with them what Dice inference expects of each case.
        dataset_dir: the data set the runs were evaluated on; by default that of the first one's training.
        split: evaluated list.
    """
    folders = {name: Path(folder) for name, folder in runs.items()}
    summaries = {name: _summary(folder / split / "summary.json") for name, folder in folders.items()}
    target = Path(output)
    target.mkdir(parents=True, exist_ok=True)
    histories = {name: _history(folder / "history.csv") for name, folder in folders.items()}
    rows = [_row(name, summaries[name], histories[name]) for name in folders]
    header = ["method", *(title for _, title, _ in COLUMNS), "s / step"]
    table = [header, ["---"] * len(header), *rows]
    _write(target / "table.md", "".join("| " + " | ".join(map(_cell, row)) + " |\n" for row in table))
    pictures = [
        _curves(histories, target / "curves.png"),
        _overlays(folders, Path(dataset_dir or _trained_on(folders)), target / "overlays.png"),
    ]
    expectations = {name: read_expected(folder / "predictions" / TABLE) for name, folder in folders.items()}
    page = Environment(loader=PackageLoader("tools"), autoescape=True).get_template("report.html")
    any_summary = next(iter(summaries.values()))
    text = page.render(header=header, rows=rows, summary=any_summary, split=split, pictures=[p for p in pictures if p],
                       expectations={name: found for name, found in expectations.items() if found})  # fmt: skip
    _write(target / "index.html", text)
    return str(target / "index.html")


def _trained_on(folders: Mapping[str, Path]) -> str:
    return str(require_run(next(iter(folders.values()))).settings["dataset_dir"])


def _summary(path: Path) -> dict:
    if not path.is_file():
        raise InputError(f"{path}: no such file; run the evaluate configuration of this run first")
    summary = load_json(path, "it should hold the figures of an evaluation")
    groups = [summary.get(key) for key in ("mean", "std")] if isinstance(summary, dict) else [None]
    if not all(isinstance(group, dict) and all(_is_number(group.get(m)) for m, *_ in COLUMNS) for group in groups):
        raise InputError(f"{path}: no figures of an evaluation (mean, std)")
    return summary


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _history(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _row(name: str, summary: Mapping, history: Sequence[Mapping]) -> list[str]:
    cells = [f"{f * summary['mean'][m]:.2f} ± {f * summary['std'][m]:.2f}" for m, _, f in COLUMNS]
    steps = [float(row["seconds_per_step"]) for row in history]
    return [name, *cells, f"{np.median(steps):.2f}" if steps else "-"]


def _cell(text: str) -> str:
    """Text in a table of Markdown: on one line, in one cell, no tags."""
    return html.escape(printable(text)).replace("|", "&#124;")


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _save(figure, path: Path) -> str:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, bbox_inches="tight", format="png")
    plt.close(figure)
    return path.name


def _curves(histories: Mapping[str, Sequence[Mapping]], path: Path) -> str | None:
    """Every logged scalar over iterations, one panel each."""
    skipped = ("iteration", "seconds_per_step")
    scalars = list(
        dict.fromkeys(key for rows in histories.values() for key in (rows[0] if rows else ()) if key not in skipped)
    )
    if not scalars:
        return None
    figure, axes = plt.subplots(1, len(scalars), figsize=(3.2 * len(scalars), 2.6), squeeze=False)
    for axis, scalar in zip(axes[0], scalars):
        for number, (name, rows) in enumerate(histories.items()):
            points = [(int(row["iteration"]), float(row[scalar])) for row in rows if row.get(scalar)]
            if points:
                axis.plot(*zip(*points), color=f"C{number}", label=name)
        axis.set_title(printable(scalar), fontsize=9, parse_math=False)
        axis.tick_params(labelsize=7)
    for text in axes[0][0].legend(fontsize=7).get_texts():
        text.set_parse_math(False)
    return _save(figure, path)


def _overlays(folders: Mapping[str, Path], dataset: Path, path: Path, most: int = 4) -> str | None:
    """Outlines of label and predictions on the slice with the largest organ, a row per case that all runs segmented."""
    predicted = {name: folder / "predictions" for name, folder in folders.items()}
    names = sorted(file.name for file in next(iter(predicted.values())).glob("*.nii.gz"))
    places = [dataset / "labels", *predicted.values()]
    shown = [name for name in names if all((place / name).is_file() for place in places)][:most]
    if not shown:
        return None
    figure, axes = plt.subplots(
        len(shown), 1 + len(folders), figsize=(2.6 * (1 + len(folders)), 2.6 * len(shown)), squeeze=False
    )
    for row, case in zip(axes, shown):
        image, label = _array(dataset / "images" / case), _array(dataset / "labels" / case)
        z = fullest_slice(label) if label.ndim == 3 else None
        maps = {"label": label, **{n: _array(p / case) for n, p in predicted.items()}}
        for axis, (name, mask) in zip(row, maps.items()):
            draw_outlines(axis, *((image, mask) if z is None else (image[..., z], mask[..., z])))
            axis.set_title(printable(name), fontsize=9, parse_math=False)
    return _save(figure, path)


def _array(path: str | Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj)
