"""A contact sheet: one slice of many cases with the outlines of their labels."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import matplotlib
import numpy as np
import SimpleITK as sitk

from common.datasets import Case
from common.errors import InputError
from common.files import atomic_path

from ..volumes import array, from_array, read
from .inspect import read_label

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402  (the backend must be chosen first)

COLUMNS = 8


def contact_sheet(items: Sequence[Case], path: Path, first: Sequence[str] = (), most: int = 40) -> None:
    """Draw up to ``most`` cases, those named ``first`` before others taken at even distances."""
    ahead = [item for item in items if item.name in set(first)][: most // 2]
    rest = [item for item in items if item not in ahead]
    count = min(most - len(ahead), len(rest))
    shown = ahead + [rest[round(n)] for n in np.linspace(0, len(rest) - 1, count)] if count else ahead
    rows = max(-(-len(shown) // COLUMNS), 1)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(1.9 * COLUMNS, 2.1 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, item in zip(axes.flat, shown):
        axis.set_title(item.name[-24:], fontsize=7, color="crimson" if item.name in first else "black")
        try:
            _draw(axis, item)
        except InputError:
            axis.text(0.5, 0.5, "unreadable", ha="center", va="center", color="crimson")
    figure.tight_layout(pad=0.4)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100, format="png")
    plt.close(figure)


def _draw(axis, item: Case) -> None:
    image = read(item.image)
    image = image[(..., 0)] if image.GetDimension() == 4 else image
    if "complex" in image.GetPixelIDTypeAsString():
        raise InputError(f"{item.image}: complex voxels")
    label = None
    with suppress(InputError):
        label = from_array(read_label(item.labels)[1]) if item.labels else None
    if label is not None and label.GetSize() == image.GetSize():
        label.CopyInformation(image)
    if image.GetDimension() == 3:  # as in training
        image, label = (part and sitk.DICOMOrient(part, "RAS") for part in (image, label))
    values, spacing, mask = array(image), image.GetSpacing(), None if label is None else array(label)
    if mask is not None and mask.shape != values.shape[: mask.ndim]:
        mask = None
    if image.GetDimension() >= 3:
        z = int(np.argmax((mask > 0).sum(axis=(0, 1)))) if mask is not None else values.shape[2] // 2
        values, mask = values[:, :, z], None if mask is None else mask[:, :, z]
    if values.ndim == 3:  # channels; a fourth is opacity
        values = values[..., :3].mean(axis=-1)
    values = np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0)
    low, high = np.percentile(values, (1, 99))
    origin = "lower" if image.GetDimension() == 3 else "upper"  # the front is at the top
    shown = {"cmap": "gray", "vmin": low, "vmax": max(high, low + 1e-6), "origin": origin}
    axis.imshow(values.T, aspect=spacing[1] / spacing[0], **shown)
    for number, value in enumerate(np.unique(mask[mask > 0]) if mask is not None else ()):
        axis.contour((mask == value).T, levels=[0.5], colors=[f"C{number % 10}"], linewidths=0.8)
