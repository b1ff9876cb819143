"""A table, curves and overlays of finished runs, in one HTML page."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import matplotlib
import nibabel
import numpy as np
from jinja2 import Environment, PackageLoader

from common.data.expected import TABLE, read_expected
from common.errors import printable, require_folder
from common.files import atomic_path, read_table, require_place
from common.outlines import draw_outlines, fullest_slice

from .release.figures import figures_of
from .runs import require_run

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402  (the backend must be chosen first)

COLUMNS = (("dice", "Dice %", 100), ("jaccard", "Jaccard %", 100), ("hd95", "95HD", 1), ("asd", "ASD", 1))
WRITTEN = ("table.md", "index.html", "curves.png", "overlays.png", "dark_curves.png", "dark_overlays.png")
DARK = "#181818"  # the dark page of templates/report.html
STYLES: dict[str, Any] = {  # of Matplotlib, by what the names of its pictures start with
    "": [],
    "dark_": ["dark_background", {"savefig.facecolor": DARK, "axes.facecolor": DARK}],
}
SLICE = tuple[str, np.ndarray, np.ndarray]  # title, image, label map


def report(
    runs: Mapping[str, str], dataset_dir: str | None = None, output: str = "report", split: str = "validation"
) -> str:
    """Write ``index.html`` with pictures, for light and dark screens, and ``table.md``, into the folder ``output``.

    Args:
        runs: name of each method and the output folder of its run: ``<split>/summary.json`` (evaluate),
            ``history.csv`` (train) and ``predictions/`` (inference) are read from it, the last two if present, and
            with them what Dice inference expects of each case.
        dataset_dir: the data set the runs were evaluated on; by default that of the first one's training.
        split: evaluated list.
    """
    folders = {name: Path(folder) for name, folder in runs.items()}
    summaries = {name: figures_of(folder / split / "summary.json") for name, folder in folders.items()}
    if dataset_dir is not None:
        require_folder(dataset_dir, "it must hold the data set (dataset_dir)")
    target = require_place(output, "--output", files=WRITTEN)
    histories = {name: _history(folder / "history.csv") for name, folder in folders.items()}
    rows = [_row(name, summaries[name], histories[name]) for name in folders]
    header = ["method", *(title for _, title, _ in COLUMNS), "s / step"]
    table = [header, ["---"] * len(header), *rows]
    _write(target / "table.md", "".join("| " + " | ".join(map(_cell, row)) + " |\n" for row in table))
    pictures = _pictures(histories, _slices(folders, Path(dataset_dir or _trained_on(folders))), target)
    expectations = {name: read_expected(folder / "predictions" / TABLE) for name, folder in folders.items()}
    page = Environment(loader=PackageLoader("tools"), autoescape=True).get_template("report.html")
    any_summary = next(iter(summaries.values()))
    text = page.render(header=header, rows=rows, summary=any_summary, split=split, pictures=pictures,
                       expectations={name: found for name, found in expectations.items() if found})  # fmt: skip
    _write(target / "index.html", text)
    return str(target / "index.html")


def _trained_on(folders: Mapping[str, Path]) -> str:
    return str(require_run(next(iter(folders.values()))).settings["dataset_dir"])


def _history(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    return read_table(path, "training writes it", ("iteration", "seconds_per_step"), rest=True)


def _row(name: str, summary: Mapping, history: Sequence[Mapping]) -> list[str]:
    cells = [f"{f * summary['mean'][m]:.2f} ± {f * summary['std'][m]:.2f}" for m, _, f in COLUMNS]
    steps = [row["seconds_per_step"] for row in history]
    return [name, *cells, f"{np.median(steps):.2f}" if steps else "-"]


def _cell(text: str) -> str:
    """Text in a table of Markdown: on one line, in one cell, no tags."""
    return html.escape(printable(text)).replace("|", "&#124;")


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _pictures(histories: Mapping[str, Sequence[Mapping]], rows: Sequence[Sequence[SLICE]], target: Path) -> dict:
    """Draw what there is, for light and for dark pages; what each picture shows, by its name on light pages."""
    keys = chain.from_iterable(row[0] for row in histories.values() if row)
    scalars = [key for key in dict.fromkeys(keys) if key not in ("iteration", "seconds_per_step")]
    shown = {}
    for start, style in STYLES.items():
        with plt.style.context(style):
            if scalars:
                _curves(histories, scalars, target / f"{start}curves.png")
                shown["curves.png"] = "logged values over iterations"
            if rows:
                _overlays(rows, target / f"{start}overlays.png")
                shown["overlays.png"] = "outlines of labels and predictions"
    return shown


def _save(figure, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, bbox_inches="tight", format="png")
    plt.close(figure)


def _curves(histories: Mapping[str, Sequence[Mapping]], scalars: Sequence[str], path: Path, columns: int = 4) -> None:
    """Logged scalars over iterations, one panel each."""
    lines, width = -(-len(scalars) // columns), min(columns, len(scalars))
    figure, axes = plt.subplots(lines, width, figsize=(3.2 * width, 2.6 * lines), squeeze=False, layout="constrained")
    for axis in axes.flat[len(scalars) :]:
        axis.set_visible(False)
    for axis, scalar in zip(axes.flat, scalars):
        for number, (name, rows) in enumerate(histories.items()):
            points = [(row["iteration"], row[scalar]) for row in rows if row.get(scalar, "") != ""]
            if points:
                axis.plot(*zip(*points), color=f"C{number}", label=name)
        axis.set_title(printable(scalar), fontsize=9, parse_math=False)
        axis.tick_params(labelsize=7)
    for text in axes[0][0].legend(fontsize=7).get_texts():
        text.set_parse_math(False)
    _save(figure, path)


def _slices(folders: Mapping[str, Path], dataset: Path, most: int = 4) -> list[list[SLICE]]:
    """Label and predictions in the slice with the largest organ, a row for each case that all runs segmented."""
    predicted = {name: folder / "predictions" for name, folder in folders.items()}
    names = sorted(file.name for file in next(iter(predicted.values())).glob("*.nii.gz"))
    places = [dataset / "labels", *predicted.values()]
    shown = [name for name in names if all((place / name).is_file() for place in places)][:most]
    rows = []
    for case in shown:
        image, label = _array(dataset / "images" / case), _array(dataset / "labels" / case)
        z = fullest_slice(label) if label.ndim == 3 else None
        maps = {"label": label, **{n: _array(p / case) for n, p in predicted.items()}}
        place = (...,) if z is None else (..., z)
        rows.append([(name, image[place].copy(), mask[place].copy()) for name, mask in maps.items()])  # the rest goes
    return rows


def _overlays(rows: Sequence[Sequence[SLICE]], path: Path) -> None:
    """Outlines on their images, a row for each case."""
    width = len(rows[0])
    figure, axes = plt.subplots(len(rows), width, figsize=(2.6 * width, 2.6 * len(rows)), squeeze=False)
    for axis, (name, image, mask) in zip(axes.flat, chain.from_iterable(rows)):
        draw_outlines(axis, image, mask)
        axis.set_title(printable(name), fontsize=9, parse_math=False)
    _save(figure, path)


def _array(path: str | Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj)
