"""Distances between the surfaces of two binary masks, in medpy's convention."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage


def surface_distances(
    pred: np.ndarray, label: np.ndarray, spacing: Sequence[float] | None = None
) -> tuple[float, float]:
    r"""95 % Hausdorff distance and average surface distance.

    The surface of a mask is the mask without its erosion by the 6-neighborhood (4 in 2D); outside the image is
    background, so voxels at the border belong to it. With :math:`d(X \to Y)` the distances from every surface voxel of
    X to the nearest one of Y,

    .. math:: \mathrm{HD95} = P_{95}\big(d(A \to B) \cup d(B \to A)\big), \qquad
              \mathrm{ASD} = \mathrm{mean}\ d(A \to B)

    with A the prediction and B the label. ASD has a direction. MONAI's ``compute_hausdorff_distance(percentile=95)``
    is the larger of two directed percentiles and is never smaller than HD95 here.

    Args:
        pred: boolean mask.
        label: boolean mask of the same shape.
        spacing: extents of a voxel in mm; ``None`` measures in voxels, as all published tables of these methods do.

    Returns:
        (HD95, ASD).

    Raises:
        ValueError: when a mask is empty (what an empty mask is worth is the caller's policy) or the shapes differ.
    """
    to_label, to_pred = _both_ways(pred, label, spacing)
    return float(np.percentile(np.concatenate([to_label, to_pred]), 95)), float(to_label.mean())


def surface_dice(
    pred: np.ndarray, label: np.ndarray, tolerance: float, spacing: Sequence[float] | None = None
) -> float:
    r"""Share of both surfaces that lies within a tolerance of the other one.

    .. math:: \frac{|\{a \in A: d(a, B) \le \tau\}| + |\{b \in B: d(b, A) \le \tau\}|}{|A| + |B|}

    with A and B the surface voxels of ``surface_distances``, whose arguments and errors are these too. Surfaces are
    counted in voxels, not in the areas of the elements between them.

    Args:
        pred: boolean mask.
        label: boolean mask of the same shape.
        tolerance: in mm, or in voxels without a spacing, from 0.
        spacing: extents of a voxel in mm.

    Source: normalized surface Dice, Nikolov et al., 2018 (arXiv 1809.04430), by voxels.
    """
    distances = np.concatenate(_both_ways(pred, label, spacing))
    return float((distances <= tolerance).mean())


def _both_ways(pred: np.ndarray, label: np.ndarray, spacing: Sequence[float] | None) -> tuple[np.ndarray, np.ndarray]:
    """Distances of the prediction's surface voxels to the label's surface, and the other way."""
    if pred.shape != label.shape:
        raise ValueError(f"masks of different shapes {pred.shape} and {label.shape}")
    if not pred.any() or not label.any():
        raise ValueError("surface distances need two non-empty masks")
    box = ndimage.find_objects((pred | label).astype(np.uint8))[0]
    a, b = _surface(pred[box]), _surface(label[box])
    to_label = ndimage.distance_transform_edt(~b, sampling=spacing)[a]
    to_pred = ndimage.distance_transform_edt(~a, sampling=spacing)[b]
    return to_label, to_pred


def _surface(mask: np.ndarray) -> np.ndarray:
    return mask & ~ndimage.binary_erosion(mask, ndimage.generate_binary_structure(mask.ndim, 1))
