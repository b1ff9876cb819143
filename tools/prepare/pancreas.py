"""NIH Pancreas-CT: ``PANCREAS_0001/<study>/<series>/*.dcm``, or NIfTI made of them, and ``label0001.nii.gz``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from common.datasets.dicom import read_series
from common.errors import InputError, require_choice

from ..volumes import array, binary, bounding_box, crop, on_grid, read, resample, scaled, z_score
from .conversion import Conversion, Converted, Dataset
from .lists import by_list, published
from .pairs import find_pairs, found

VOLUME = re.compile(r"(?:PANCREAS_|image)(\d{4})(?:_0000)?\.nii(?:\.gz)?")  # a scan as one file
SOFT_TISSUE = -150.0, 350.0  # HU: a label that lies elsewhere belongs to other axes


@dataclass(frozen=True)
class Convention:
    """How one family of papers prepares the scans.

    Attributes:
        window: HU clipped to and scaled to 0..1.
        smallest: voxels that the crop has at least in plane, before the margin.
        margin: voxels around the label.
        axes: how many axes are cropped; 2 leaves z whole.
    """

    window: tuple[float, float]
    smallest: int
    margin: int
    axes: int


CONVENTIONS = {
    "mcnet": Convention(window=(-125.0, 275.0), smallest=96, margin=25, axes=2),
    "mcf": Convention(window=(-120.0, 240.0), smallest=0, margin=25, axes=3),
}


def find(source: Path, convention: str = "mcnet", label_axes: str = "header") -> Dataset:
    """Scans at 1 mm, windowed, cropped around the label and z-scored.

    Args:
        source: folder above both archives (scans and labels).
        convention: ``mcnet`` (MC-Net, SGRS-Net) or ``mcf`` (MCF, the dual network); window, crop and lists differ.
            The crop of ``mcf`` in z and its z-score are our reading: its code is not public.
        label_axes: ``header`` turns labels to the scan's axes by their own header; ``stored`` takes their voxels in
            the order of the scan's; ``flip_y`` reverses their second axis.
    """
    require_choice(convention=(convention, CONVENTIONS), label_axes=(label_axes, ("header", "stored", "flip_y")))
    labels = {f"PANCREAS_{path.name[5:9]}": path for path in found(source, "label[0-9][0-9][0-9][0-9].nii*")}
    volumes: dict[str, list[Path]] = {}
    for path in found(source, "*.nii*"):
        if match := VOLUME.fullmatch(path.name):
            volumes.setdefault(f"PANCREAS_{match.group(1)}", []).append(path)
    pairs, broken = find_pairs(source, r"PANCREAS_\d{4}", labels, volumes)
    how = CONVENTIONS[convention]
    cases = [
        Conversion(name, files, partial(_convert, name, *files, how, label_axes), domain="NIH", patient=name)
        for name, files in pairs.items()
    ]
    if not cases and not broken:
        raise InputError(
            f"{source}: no scans (PANCREAS_0001/.../*.dcm, or PANCREAS_0001.nii.gz) and no label0001.nii.gz below"
        )
    cases, missing = by_list(cases, published(f"pancreas_{convention}"), lambda case: case.name)
    return Dataset(cases, 2, broken, missing, f"published (62 training, 20 test cases; {convention})")


def _convert(name: str, scan: Path, label_path: Path, how: Convention, label_axes: str) -> list[Converted]:
    image = read(scan) if VOLUME.fullmatch(scan.name) else read_series(scan)
    label = _placed(read(label_path), image, label_path, label_axes)
    _check_place(array(image), array(label) > 0, label_path)
    image, label = resample(image, (1, 1, 1)), resample(label, (1, 1, 1), label=True)
    low, high = how.window
    values = (array(image).clip(low, high) - low) / (high - low)
    mask = array(label) > 0
    box = [(0, n) for n in image.GetSize()]
    for axis, (first, last) in enumerate(bounding_box(mask)[: how.axes]):
        around = max(how.smallest - (last - first), 0) // 2 + how.margin
        box[axis] = max(first - around, 0), min(last + around, image.GetSize()[axis])
    windowed = crop(scaled(image, values), box)
    image = scaled(windowed, z_score(array(windowed)))
    return [Converted(name, image, crop(binary(label, mask), box), notes={"box": box})]


def _placed(label: sitk.Image, image: sitk.Image, path: Path, axes: str) -> sitk.Image:
    if axes == "header":
        return on_grid(label, image, path)
    if label.GetSize() != image.GetSize():
        raise InputError(f"{path}: label of size {label.GetSize()} for a scan of size {image.GetSize()}")
    values = array(label)[:, ::-1] if axes == "flip_y" else array(label)
    return binary(image, values > 0)


def _check_place(values: np.ndarray, mask: np.ndarray, path: Path) -> None:
    if not mask.any():
        raise InputError(f"{path}: the label is empty")
    inside = values[mask]
    share = float(np.mean((inside > SOFT_TISSUE[0]) & (inside < SOFT_TISSUE[1])))
    if share < 0.8:
        raise InputError(
            f"{path}: only {share:.0%} of the label lies on soft tissue; its axes are not the scan's (try label_axes)"
        )
