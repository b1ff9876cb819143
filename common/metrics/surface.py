"""Distances between the surfaces of two binary masks, in medpy's convention."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage


def surface_distances(
    pred: np.ndarray, label: np.ndarray, spacing: Sequence[float] | None = None
) -> tuple[float, float]:
    r"""95 % Hausdorff distance and average surface distance.

    The surface of a mask is the mask without its erosion by the 6-neighbourhood (4 in 2D); outside the image is
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
    if pred.shape != label.shape:
        raise ValueError(f"masks of different shapes {pred.shape} and {label.shape}")
    if not pred.any() or not label.any():
        raise ValueError("surface distances need two non-empty masks")
    box = ndimage.find_objects((pred | label).astype(np.uint8))[0]
    a, b = _surface(pred[box]), _surface(label[box])
    to_label = ndimage.distance_transform_edt(~b, sampling=spacing)[a]
    to_pred = ndimage.distance_transform_edt(~a, sampling=spacing)[b]
    return float(np.percentile(np.concatenate([to_label, to_pred]), 95)), float(to_label.mean())


def _surface(mask: np.ndarray) -> np.ndarray:
    return mask & ~ndimage.binary_erosion(mask, ndimage.generate_binary_structure(mask.ndim, 1))
