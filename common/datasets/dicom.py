"""A DICOM series as a volume, after its slices were found complete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813  (its own documentation's name)

from ..errors import InputError

SERIES, POSITION, ORIENTATION = "0020|000e", "0020|0032", "0020|0037"


@dataclass(frozen=True)
class Slice:
    """What the header of one file says."""

    path: Path
    series: str
    position: np.ndarray
    orientation: np.ndarray
    size: tuple[int, ...]
    spacing: tuple[float, ...]

    @property
    def depth(self) -> float:
        """Position along the normal of the slice, in mm."""
        return float(np.dot(np.cross(self.orientation[:3], self.orientation[3:]), self.position))


def series_folders(root: Path) -> list[Path]:
    """``root`` and the folders below it that hold DICOM files themselves."""
    folders = sorted({path.parent for path in root.rglob("*") if path.is_file()})
    return [folder for folder in folders if any(is_dicom(path) for path in folder.iterdir() if path.is_file())]


def is_dicom(path: Path) -> bool:
    """Whether the file carries the mark of DICOM, ``DICM`` at byte 128."""
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM"


def series_files(folder: Path) -> list[Path]:
    """Files of the one complete and evenly spaced series in ``folder``, in the order of their positions.

    Raises:
        InputError: naming folder or file, for no or several series in the folder, unreadable headers, slices of
            different size or orientation, slices that share a position, missing slices, and uneven spacing.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in ("", ".dcm", ".ima"))
    files = [path for path in files if path.name != "DICOMDIR"]
    if not files:
        raise InputError(f"{folder}: no DICOM files")
    slices = sorted((_header(path) for path in files), key=lambda s: s.depth)
    _check(folder, slices)
    return [s.path for s in slices]


def read_series(folder: Path) -> sitk.Image:
    """The volume of the one series in ``folder``, rescaled (CT: Hounsfield units).

    Raises:
        InputError: as ``series_files``, and for pixel data that cannot be read.
    """
    files = series_files(folder)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(path) for path in files])
    try:
        return reader.Execute()
    except RuntimeError:
        raise InputError(f"{_unreadable(files)}: pixel data cannot be read (corrupt file?)") from None


def _header(path: Path) -> Slice:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO("GDCMImageIO")
    try:
        reader.ReadImageInformation()
        position, orientation = (_numbers(reader.GetMetaData(key)) for key in (POSITION, ORIENTATION))
        series = reader.GetMetaData(SERIES).strip()
    except (RuntimeError, ValueError):
        raise InputError(f"{path}: not a readable DICOM slice (corrupt, or without position)") from None
    return Slice(path, series, position, orientation, reader.GetSize()[:2], reader.GetSpacing()[:2])


def _numbers(text: str) -> np.ndarray:
    return np.array([float(part) for part in text.split("\\")])


def _check(folder: Path, slices: Sequence[Slice]) -> None:
    series = {s.series for s in slices}
    if len(series) > 1:
        counts = ", ".join(str(sum(s.series == name for s in slices)) for name in sorted(series))
        raise InputError(f"{folder}: {len(series)} series in one folder ({counts} slices); keep one")
    first = slices[0]
    for s in slices:
        if s.size != first.size or not np.allclose(s.spacing, first.spacing, rtol=1e-4):
            raise InputError(f"{s.path}: size or pixel spacing differs from the other slices of the series")
        if not np.allclose(s.orientation, first.orientation, atol=1e-3):
            raise InputError(f"{s.path}: orientation differs from the other slices of the series")
    steps = np.diff([s.depth for s in slices])
    if len(steps) == 0:
        raise InputError(f"{folder}: a series of one slice is no volume")
    middle = float(np.median(steps))
    if (same := np.flatnonzero(steps < 0.01 * max(middle, 1e-6))).size:
        raise InputError(f"{slices[same[0] + 1].path}: has the position of {slices[same[0]].path.name}")
    uneven = np.flatnonzero(np.abs(steps - middle) > 0.02 * middle)
    gaps = [n for n in uneven if abs(steps[n] / middle - round(steps[n] / middle)) < 0.05 and steps[n] > 1.5 * middle]
    if len(gaps):
        lost = sum(round(steps[n] / middle) - 1 for n in gaps)
        raise InputError(f"{folder}: {lost} slices missing, the first after {slices[gaps[0]].path.name}")
    if uneven.size:
        raise InputError(
            f"{folder}: uneven slice spacing, {steps.min():.3f} to {steps.max():.3f} mm; resample it beforehand"
        )


def _unreadable(files: Sequence[Path]) -> Path:
    for path in files:
        try:
            sitk.ReadImage(str(path))
        except RuntimeError:
            return path
    return files[0].parent
