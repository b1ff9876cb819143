"""Slices with the outlines of label maps, as figures."""

from __future__ import annotations

import numpy as np


def fullest_slice(mask: np.ndarray) -> int:
    """The slice along the last axis of ``H, W, D`` with the largest labeled area; the middle one where none has any."""
    areas = (mask > 0).sum(axis=(0, 1))
    return int(np.argmax(areas)) if areas.any() else mask.shape[-1] // 2


def draw_outlines(axis, image: np.ndarray, mask: np.ndarray) -> None:
    """Draw a slice ``H, W`` in gray on axes of Matplotlib, with the outlines of the classes of a label map."""
    low, high = np.percentile(image, (1, 99))
    axis.imshow(image.T, cmap="gray", vmin=low, vmax=high, origin="lower")
    for number in range(1, int(mask.max()) + 1):
        if (mask == number).any():
            axis.contour((mask == number).T, levels=[0.5], colors=[f"C{number % 10}"], linewidths=1.2)
    axis.axis("off")
