"""Metrics of whole cases, per class, and their averages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ..errors import require_choice
from .overlap import dice, jaccard
from .surface import surface_distances

METRICS = ("dice", "jaccard", "hd95", "asd")
EMPTY_POLICIES = ("official", "penalised", "nan")


def case_metrics(
    pred: np.ndarray,
    label: np.ndarray,
    classes: int,
    spacing: Sequence[float] | None = None,
    empty_policy: str = "official",
) -> list[dict[str, float]]:
    """Dice, Jaccard, 95HD and ASD of every foreground class of one case.

    Args:
        pred: label map of integers.
        label: label map of the same shape.
        classes: number of classes, background included.
        spacing: voxel extents in mm for the distances; ``None`` for voxels.
        empty_policy: what a class with an empty mask scores. ``official``: 0 for all four when the prediction or the
            label is empty, as published code does (which *rewards* the distances). ``penalised``: Dice and
            Jaccard 0 and both distances the diagonal of the image, or a perfect score if both masks are empty.
            ``nan``: as ``penalised``, but the diagonal is NaN and left out of averages.

    Returns:
        One dictionary per class: ``class``, the four of ``METRICS`` (overlaps in [0, 1]), ``empty`` (0 or 1: the
        prediction is empty while the label is not).
    """
    require_choice(empty_policy=(empty_policy, EMPTY_POLICIES))
    if pred.shape != label.shape:
        raise ValueError(f"prediction of shape {pred.shape} for a label of shape {label.shape}")
    rows = []
    for number in range(1, classes):
        a, b = pred == number, label == number
        if a.any() and b.any():
            values = (dice(a, b), jaccard(a, b), *surface_distances(a, b, spacing))
        else:
            values = _empty(a, b, spacing, empty_policy)
        rows.append({"class": number, **dict(zip(METRICS, values)), "empty": float(b.any() and not a.any())})
    return rows


def _empty(a: np.ndarray, b: np.ndarray, spacing: Sequence[float] | None, policy: str) -> tuple[float, ...]:
    if policy == "official":
        return 0.0, 0.0, 0.0, 0.0
    if not a.any() and not b.any():
        return 1.0, 1.0, 0.0, 0.0
    extents = np.array(a.shape) * (1.0 if spacing is None else np.asarray(spacing))
    distance = float(np.linalg.norm(extents)) if policy == "penalised" else float("nan")
    return 0.0, 0.0, distance, distance


def summarise(rows: Iterable[Mapping]) -> dict:
    """Averages over cases per class, then over classes (plain means; NaN distances are left out).

    Returns:
        ``{"mean": {...}, "std": {...}, "classes": {class: {...}}, "cases": n, "empty": count}``; ``std`` is the
        sample deviation over cases of the class mean of each case.
    """
    rows = list(rows)
    classes = sorted({row["class"] for row in rows})
    cases = list(dict.fromkeys(row["case"] for row in rows))
    per_class = {c: {m: _mean([r[m] for r in rows if r["class"] == c]) for m in METRICS} for c in classes}
    per_case = {m: [_mean([r[m] for r in rows if r["case"] == case]) for case in cases] for m in METRICS}
    return {
        "mean": {m: _mean([per_class[c][m] for c in classes]) for m in METRICS},
        "std": {m: float(np.nanstd(per_case[m], ddof=1)) if len(cases) > 1 else 0.0 for m in METRICS},
        "classes": {str(c): per_class[c] for c in classes},
        "cases": len(cases),
        "empty": int(sum(row["empty"] for row in rows)),
    }


def _mean(values: Sequence[float]) -> float:
    finite = [v for v in values if v == v]
    return float(np.mean(finite)) if finite else float("nan")
