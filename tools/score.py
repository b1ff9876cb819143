"""``python -m tools score``: segmentations against labels, from two folders."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.data.expected import TABLE, read_expected
from common.datasets import find_cases
from common.datasets.endings import image_files
from common.datasets.pairing import named
from common.errors import InputError, require_folder, require_number, require_whole
from common.files import atomic_path, require_place
from common.groups import patient_of
from common.metrics import bootstrap_mean, dice, how_well, jaccard, surface_dice, surface_distances
from common.outlines import draw_outlines

from .check.families import group_by_names
from .check.inspect import read_label
from .folds import expected_text
from .plan.lists import NO_GROUP
from .volumes import array, read, same_grid

COLUMNS = ("case", "class", "dice", "jaccard", "hd95", "asd", "surface_dice", "ml", "label_ml", "failure")
MEASURES = ("dice", "jaccard", "hd95", "asd", "surface_dice")
SUFFIXES = ("", "_seg", "_pred", "_segmentation", "_prediction")
SHOWN = 6  # failures in a line
WRITTEN = ("scores.csv", "scores.json", "worst.png")
FAILURES = ("empty", "absent")  # nothing found of a class that is there; something of one that is not


def score(
    predictions: str,
    labels: str,
    classes: Sequence[int] | None = None,
    tolerance: float = 2.0,
    group: str | None = None,
    images: str | None = None,
    output: str | None = None,
    worst: int = 8,
) -> dict:
    """Measure segmentations against labels of the same names: ``score predictions my_data/labels``.

    Dice, Jaccard, 95 % Hausdorff and average surface distance and normalized surface Dice of every class of every
    case, on the grid of the files, in mm by each label's own header (in pixels for pictures). A class that is there and
    not found scores Dice 0 and no distance, and counts as a failure; a class that is neither there nor found is left
    out. Where inference said what Dice to expect (``expected_dice.csv``), it tells how well that held. Writes
    ``scores.csv``, ``scores.json`` and, with images, ``worst.png`` beside the predictions.

    Args:
        predictions: folder of segmentations, as inference writes them.
        labels: folder of labels in any format that training reads, or a data set, whose labels are taken.
        classes: values to measure; by default those of any label but 0.
        tolerance: of surface Dice, in mm (pixels).
        group: template of names, such as '{patient}_*': intervals take patients, not cases, for independent; by
            default what names with a word for frames or slices say, and none takes every case for a patient.
        images: folder of images, to draw the worst cases.
        output: folder for the results; by default that of the predictions.
        worst: how many cases to draw.
    """
    require_number(0, tolerance=tolerance)
    require_whole(1, worst=worst)
    _require_classes(classes)
    pairs = _pairs(Path(require_folder(predictions, "it must hold the segmentations")),
                   Path(require_folder(labels, "it must hold the labels")))  # fmt: skip
    group = group_by_names(list(pairs)) if group is None else None if group == NO_GROUP else group
    patient = patient_of(group, list(pairs))
    own = named(image_files(Path(require_folder(images, "it must hold the images")))) if images is not None else {}
    if lost := next((name for name in pairs if images is not None and name not in own), None):
        raise InputError(f"{images}: no image of {lost} (images)")
    folder = require_place(output or predictions, "--output", keep=False, files=WRITTEN)
    maps = {name: _maps(*files) for name, files in pairs.items()}
    known = sorted({int(v) for _, label, _ in maps.values() for v in np.unique(label)} - {0})
    chosen = [classes] if isinstance(classes, int) else list(classes or known)
    if not chosen:
        raise InputError(f"{labels}: no label has a foreground, so there is nothing to measure")
    rows = [row for name, parts in maps.items() for row in _measured(name, *parts, chosen, tolerance)]
    unit = "mm" if all(spacing for *_, spacing in maps.values()) else "pixels"
    content = {"predictions": predictions, "labels": labels, "tolerance": tolerance, "cases": len(pairs), "unit": unit,
               **_summary(rows, chosen, patient), **_expectations(Path(predictions), rows)}  # fmt: skip
    _write(folder, rows, content)
    if images is not None:
        _draw(folder / "worst.png", _worst(rows, worst), own, maps)
    sys.stdout.write(as_text(content) + _other_numbers(maps) + f"{folder / 'scores.csv'}, {folder / 'scores.json'}\n")
    return content


def score_arrays(
    predictions: np.ndarray,
    labels: np.ndarray,
    spacing: Sequence[float] | None = None,
    classes: Sequence[int] | None = None,
    tolerance: float = 2.0,
) -> dict:
    """What ``score`` finds of one case, for the arrays of a segmentation and of a label.

    Args:
        predictions: class of each voxel.
        labels: the same extents.
        spacing: of the voxels in mm, one for each axis; ``None``: distances are in voxels.
        classes: values to measure; by default those of the label but 0.
        tolerance: of surface Dice, in mm (voxels).
    """
    require_number(0, tolerance=tolerance)
    if predictions.shape != labels.shape:
        raise InputError(f"predictions: {_times(predictions.shape)} voxels, and labels {_times(labels.shape)}")
    if spacing is not None and (len(spacing) != labels.ndim or min(spacing) <= 0):
        raise InputError(f"spacing {spacing}: expected {labels.ndim} lengths in mm above 0")
    chosen = [int(v) for v in (np.unique(labels) if classes is None else np.atleast_1d(classes)) if int(v)]
    rows = list(_measured("array", predictions, labels, spacing, chosen, tolerance))
    if not rows:
        raise InputError("labels: no foreground, so there is nothing to measure")
    return {"tolerance": tolerance, "cases": 1, **_summary(rows, chosen, str)}


def _require_classes(classes: Sequence[int] | int | None) -> None:
    for value in () if classes is None else np.atleast_1d(classes).tolist():
        require_whole(1, classes=value)
    if classes is not None and not np.size(classes):
        raise InputError(f"--classes {classes}: expected at least one value")


def _pairs(predictions: Path, labels: Path) -> dict[str, tuple[Path, Sequence[Path]]]:
    """Segmentation and label of every case; every label must have a segmentation."""
    found, wanted = named(image_files(predictions)), _labels(labels)
    if not wanted:
        raise InputError(f"{labels}: no labels that can be read")
    pairs = {}
    for name, files in wanted.items():
        made = next((found[name + suffix] for suffix in SUFFIXES if name + suffix in found), None)
        if made is None:
            raise InputError(
                f"{predictions}: no segmentation of {files[0].name}; every label is measured, failures too"
            )
        pairs[name] = made, files
    return pairs


def _labels(folder: Path) -> dict[str, Sequence[Path]]:
    """The files that are each label, by the name of its image: of a data set, or of a folder of labels alone."""
    try:
        cases = [case for case in find_cases(folder).cases if case.labels]
    except InputError:
        cases = []
    if not cases:
        return {name: [file] for name, file in named(image_files(folder)).items()}
    files = named([case.image for case in cases])
    return {name: case.labels for name, case in zip(files, cases)}


def _maps(prediction: Path, label: Sequence[Path]) -> tuple[np.ndarray, np.ndarray, tuple[float, ...] | None]:
    """Both label maps, and the label's spacing in mm; ``None`` for a picture, which has none.

    Raises:
        InputError: for files on different grids.
    """
    truth, stored = read_label(label)
    made, values = read_label([prediction])
    if values.shape != stored.shape:
        raise InputError(f"{prediction}: {_times(values.shape)} voxels, and its label has {_times(stored.shape)}")
    if truth.GetDimension() == 3 and not same_grid(truth, made, tolerance=0.05):
        raise InputError(f"{prediction}: spacing, origin or direction are not those of {label[0]}")
    return values, stored, truth.GetSpacing() if truth.GetDimension() == 3 else None


def _other_numbers(maps: Mapping) -> str:
    """A line where segmentations and labels seem to number their classes differently."""
    made, known = (sorted({int(v) for parts in maps.values() for v in np.unique(parts[n])} - {0}) for n in (0, 1))
    if not set(made) - set(known) or not set(known) - set(made):
        return ""
    return f"segmentations hold {made[:SHOWN]}, labels {known[:SHOWN]}: are these the same classes in other numbers?\n"


def _measured(name: str, made: np.ndarray, label: np.ndarray, spacing, classes: Sequence[int], tolerance: float):
    voxel = float(np.prod(spacing)) / 1000 if spacing else float("nan")
    for value in classes:
        a, b = made == value, label == value
        if not a.any() and not b.any():
            continue
        row = {"case": name, "class": value, "dice": dice(a, b), "jaccard": jaccard(a, b), "hd95": np.nan,
               "asd": np.nan, "surface_dice": 0.0, "ml": a.sum() * voxel, "label_ml": b.sum() * voxel,
               "failure": ""}  # fmt: skip
        if a.any() and b.any():
            row["hd95"], row["asd"] = surface_distances(a, b, spacing)
            row["surface_dice"] = surface_dice(a, b, tolerance, spacing)
        else:
            row["failure"] = FAILURES[0] if b.any() else FAILURES[1]
        yield row


def _summary(rows: Sequence[Mapping], classes: Sequence[int], patient) -> dict[str, Any]:
    """Means by class, Dice with its 95 % interval over cases or patients, and the failures by name."""
    found: dict[str, Any] = {}
    for value in classes:
        own = [row for row in rows if row["class"] == value]
        if own:
            scores = np.array([[row["dice"] for row in own]])
            interval = bootstrap_mean(scores, units=[patient(row["case"]) for row in own])
            measured = {m: _mean([row[m] for row in own]) for m in MEASURES}
            found[str(value)] = {**measured, "dice interval": [interval.low, interval.high], "cases": len(own)}
    failures = {kind: [f"{r['case']} (class {r['class']})" for r in rows if r["failure"] == kind] for kind in FAILURES}
    per_case: dict[str, list[float]] = {}
    for row in rows:
        per_case.setdefault(row["case"], []).append(row["dice"])
    means = np.array([[float(np.mean(values)) for values in per_case.values()]])
    units = [patient(name) for name in per_case]
    overall = bootstrap_mean(means, units=units)
    return {"dice": overall.mean, "dice interval": [overall.low, overall.high], "independent": len(set(units)),
            "classes": found, "failures": failures}  # fmt: skip


def _expectations(predictions: Path, rows: Sequence[Mapping]) -> dict[str, Any]:
    """How well the intervals of expected Dice held that inference wrote beside its segmentations."""
    found = []
    for row in read_expected(predictions / TABLE):
        dice = [measured["dice"] for measured in rows if measured["case"] == row["case"]]
        if dice:
            found.append({**row, "dice": float(np.mean(dice))})
    return {"expected": how_well(found) | {"of cases": {row.pop("case"): row for row in found}}} if found else {}


def as_text(content: Mapping) -> str:
    """The summary in lines."""
    low, high = content["dice interval"]
    patients, cases = content["independent"], content["cases"]
    of = f" of {patients} patient{'s' * (patients > 1)} by their names" if patients < cases else ""
    lines = [f"{cases} case{'s' * (cases > 1)}{of}: Dice "
             f"{100 * content['dice']:.2f} % (95 % interval {100 * low:.1f} to {100 * high:.1f})"]  # fmt: skip
    unit = f" {content['unit']}" if content.get("unit") else ""
    if patients < 3:
        lines.append("an interval over one or two patients says nothing of others")
    for value, row in content["classes"].items():
        low, high = row["dice interval"]
        lines.append(
            f"class {value}: Dice {100 * row['dice']:.2f} % ({100 * low:.1f} to {100 * high:.1f}), 95HD "
            f"{row['hd95']:.2f}{unit}, ASD {row['asd']:.2f}{unit}, surface Dice {100 * row['surface_dice']:.2f} %"
        )
    if "expected" in content:
        lines.append(expected_text(content["expected"]).strip())
    words = {"empty": "found nothing of", "absent": "found what the label has not"}
    for kind, names in content["failures"].items():
        more = f" and {len(names) - SHOWN} more, see failure in scores.csv" if len(names) > SHOWN else ""
        lines += [f"FAILURE {words[kind]}: {', '.join(names[:SHOWN])}{more}"] if names else []
    return "\n".join(lines) + "\n"


def _write(folder: Path, rows: Sequence[Mapping], content: Mapping) -> None:
    with atomic_path(folder / "scores.csv") as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows({**row, "case": row["case"]} for row in rows)
    with atomic_path(folder / "scores.json") as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _worst(rows: Sequence[Mapping], count: int) -> list[str]:
    """Cases by their mean Dice, the lowest first."""
    scores: dict[str, list[float]] = {}
    for row in rows:
        scores.setdefault(row["case"], []).append(row["dice"])
    return sorted(scores, key=lambda name: float(np.mean(scores[name])))[:count]


def _draw(path: Path, names: Sequence[str], images: Mapping[str, Path], maps: Mapping) -> None:
    """A row of each case: the label and the segmentation on the slice with the most of the label."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(len(names), 2, figsize=(6, 3 * len(names)), squeeze=False)
    for line, name in zip(axes, names):
        image = array(read(images[name])).astype(np.float32)
        made, label, _ = maps[name]
        image = image[..., :3].mean(axis=-1) if image.ndim > label.ndim else image
        if label.ndim == 3:
            area = ((label > 0) | (made > 0)).sum(axis=(0, 1))
            image, label, made = (part[:, :, int(area.argmax())] for part in (image, label, made))
        for axis, part, title in zip(line, (label, made), ("label", "segmentation")):
            axis.axis("off")
            draw_outlines(axis, image, part.astype(int))
            axis.set_title(f"{name[-24:]}: {title}", fontsize=8)
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=90, format="png")
    plt.close(figure)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if value == value]
    return float(np.mean(known)) if known else float("nan")


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
