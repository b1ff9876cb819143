"""Unlabeled images whose intensities or sizes the labeled ones do not show."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .inspect import Facts

FEWEST = 3  # labeled images that make a range
MARGIN = 0.5  # of the labeled range, or of its least width, on both sides
LEAST = {"intensities": 0.25, "size": np.log(1.25)}  # width of a range: a share of the contrast; a factor of size
NEXT = 3  # images named to be labeled next


def check_unlike(facts: Sequence[Facts]) -> list[str]:
    """Note unlabeled images outside the labeled range; returns those to label next, the farthest first."""
    seen = [f for f in facts if f.percentiles and f.spacing]
    labeled = [f for f in seen if f.volumes]
    others = [f for f in seen if f.label is None and len(f.shape) == len(labeled[0].shape)] if labeled else []
    if len(labeled) < FEWEST or not others:
        return []
    far: dict[str, float] = {}
    for what, measure in (("intensities", _intensities), ("size", _size)):
        low, high = _ends(labeled, measure)
        scale = np.median([f.percentiles[-1] - f.percentiles[0] for f in labeled]) if what == "intensities" else 1.0
        width = np.maximum(high - low, LEAST[what] * scale + 1e-9)
        for f in others:
            values = measure(f)
            beyond = float((np.maximum(low - values, values - high) / width).max())
            if beyond > MARGIN:
                far[f.case] = far.get(f.case, 0.0) + beyond
                f.note("warning", "unlike labeled", f"{what} outside those of the labeled images")
    return sorted(far, key=lambda name: -far[name])[:NEXT]


def _ends(facts: Sequence[Facts], measure: Callable[[Facts], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    values = np.array([measure(f) for f in facts])
    return values.min(axis=0), values.max(axis=0)


def _intensities(facts: Facts) -> np.ndarray:
    return np.array([*facts.percentiles, facts.mean])


def _size(facts: Facts) -> np.ndarray:
    """Extents in mm, on a scale where twice is as far as half."""
    return np.log(np.array(facts.shape) * np.array(facts.spacing))
