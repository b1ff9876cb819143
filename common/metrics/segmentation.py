"""Metrics of whole cases, per class, and their averages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import require_choice
from .overlap import dice, jaccard
from .surface import surface_distances

METRICS = ("dice", "jaccard", "hd95", "asd")
EMPTY_POLICIES = ("official", "penalised", "nan", "distance_100")


def case_metrics(
    pred: np.ndarray,
    label: np.ndarray,
    classes: int,
    spacing: Sequence[float] | None = None,
    empty_policy: str = "official",
    parts: Mapping[str, Collection[int]] | None = None,
) -> list[dict]:
    """Dice, Jaccard, 95HD and ASD of every foreground class of one case.

    Args:
        pred: label map of integers.
        label: label map of the same shape.
        classes: number of classes, background included.
        spacing: voxel extents in mm for the distances; ``None`` for voxels.
        empty_policy: what a class with an empty mask scores. ``official``: 0 for all four when the prediction or the
            label is empty, as published code does (which *rewards* the distances). ``penalised``: Dice and
            Jaccard 0 and both distances the diagonal of the image, or a perfect score if both masks are empty.
            ``nan``: as ``penalised``, but the diagonal is NaN and left out of averages. ``distance_100``: Dice and
            Jaccard 0 and both distances 100, as SynFoC's code scores an empty prediction.
        parts: what to measure instead of single classes: name and classes of each part, which may be nested, such as
            ``{"cup": [1], "disc": [1, 2]}``.

    Returns:
        One dictionary per class or part: ``class``, the four of ``METRICS`` (overlaps in [0, 1]), ``empty`` (0 or 1:
        the prediction is empty while the label is not).
    """
    require_choice(empty_policy=(empty_policy, EMPTY_POLICIES))
    if pred.shape != label.shape:
        raise ValueError(f"prediction of shape {pred.shape} for a label of shape {label.shape}")
    rows = []
    measured: Mapping[Any, Collection[int]] = parts or {number: [number] for number in range(1, classes)}
    for name, members in measured.items():
        a, b = np.isin(pred, list(members)), np.isin(label, list(members))
        if a.any() and b.any():
            values: tuple[float, ...] = (dice(a, b), jaccard(a, b), *surface_distances(a, b, spacing))
        else:
            values = _empty(a, b, spacing, empty_policy)
        rows.append({"class": name, **dict(zip(METRICS, values)), "empty": float(b.any() and not a.any())})
    return rows


def _empty(a: np.ndarray, b: np.ndarray, spacing: Sequence[float] | None, policy: str) -> tuple[float, ...]:
    if policy in ("official", "distance_100"):
        return (0.0, 0.0, 0.0, 0.0) if policy == "official" else (0.0, 0.0, 100.0, 100.0)
    if not a.any() and not b.any():
        return 1.0, 1.0, 0.0, 0.0
    extents = np.array(a.shape) * (1.0 if spacing is None else np.asarray(spacing))
    distance = float(np.linalg.norm(extents)) if policy == "penalised" else float("nan")
    return 0.0, 0.0, distance, distance


def summarize(rows: Iterable[Mapping]) -> dict:
    """Averages over cases per class, then over classes (plain means; NaN distances are left out).

    Returns:
        ``{"mean": {...}, "std": {...}, "classes": {class: {...}}, "cases": n, "empty": count}``; ``std`` is the
        sample deviation over cases of the class mean of each case.
    """
    rows = list(rows)
    classes = list(dict.fromkeys(row["class"] for row in rows))
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


def summarize_domains(rows: Iterable[Mapping], labeled_domain: str | None = None) -> dict:
    """Summaries per domain, and the plain means of the domains' means.

    Args:
        rows: of ``case_metrics``, with ``case`` and ``domain``.
        labeled_domain: the domain that counts as in-domain, all others as out-of-domain.

    Returns:
        ``{"domains": {domain: summary}, "domain_mean": {...}}`` and, where there are such domains, ``in_domain`` and
        ``out_of_domain``: each a mean over domains of every metric.
    """
    rows = list(rows)
    names = list(dict.fromkeys(row["domain"] for row in rows))
    domains = {name: summarize(row for row in rows if row["domain"] == name) for name in names}
    groups = {"domain_mean": names}
    if labeled_domain is not None:
        groups["in_domain"] = [name for name in names if name == labeled_domain]
        groups["out_of_domain"] = [name for name in names if name != labeled_domain]
    means = {
        group: {m: _mean([domains[name]["mean"][m] for name in members]) for m in METRICS}
        for group, members in groups.items()
        if members
    }
    return {"domains": domains, **means}


def _mean(values: Sequence[float]) -> float:
    finite = [v for v in values if v == v]
    return float(np.mean(finite)) if finite else float("nan")
