"""What an image looks like in a few numbers, without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import ndimage

GRID = 6  # cells along each axis
QUANTILES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)


def described(values: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Features of an image ``x, y(, z)``: size in mm, contrast, and a coarse view of what lies where.

    Args:
        values: voxels.
        spacing: of them, in mm.
    """
    values = np.asarray(values, np.float32)
    low, high = np.percentile(values, (1, 99))
    unit = np.clip((values - low) / max(float(high - low), 1e-6), 0, 1)
    view = ndimage.zoom(unit, [GRID / extent for extent in unit.shape], order=1, grid_mode=True, mode="nearest")
    size = np.log(np.array(values.shape) * np.abs(np.asarray(spacing, float)[: values.ndim]))
    return np.concatenate([size, np.quantile(unit, QUANTILES), view.ravel() / np.sqrt(view.size)])


def standardized(features: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Features of a set of images of which none counts more for its unit; only images of the commonest kind."""
    lengths = [len(value) for value in features.values()]
    if not lengths:
        return {}
    kept = {id: value for id, value in features.items() if len(value) == max(set(lengths), key=lengths.count)}
    points = np.stack(list(kept.values()))
    scale = np.maximum(points.std(axis=0), 1e-3)
    return {id: (value - points.mean(axis=0)) / scale / np.sqrt(points.shape[1]) for id, value in kept.items()}


def body_share(values: np.ndarray) -> float:
    """Share of an image that is more than background, by Otsu's threshold: what can be said without any label."""
    values = np.asarray(values, np.float32)
    low, high = np.percentile(values, (0.5, 99.5))
    if high <= low:
        return 0.0
    counts, edges = np.histogram(np.clip(values, low, high), 128)
    centers, below = (edges[:-1] + edges[1:]) / 2, np.cumsum(counts)
    above, total = below[-1] - below, np.cumsum(counts * centers)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (total / below - (total[-1] - total) / above) ** 2
    threshold = centers[int(np.nanargmax(between[:-1]))]
    return float((values > threshold).mean())
