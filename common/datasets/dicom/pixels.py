"""The voxels of a series, decoded by GDCM inside SimpleITK, which knows the compressed transfer syntaxes."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.uid import MultiFrameGrayscaleWordSecondaryCaptureImageStorage

from ...errors import InputError
from .header import GROUPS
from .sorting import stack_at
from .stack import Slice, Stack

IDENTITY = (1.0, 0.0)


def read_voxels(path: str | Path) -> tuple[Stack, np.ndarray]:
    """The series at ``path`` (see ``stack_at``) and its voxels ``x, y, z``; of a picture ``x, y`` or ``3, x, y``.

    Rescaled (CT: Hounsfield units). Whole numbers stay whole, others become float32. Where dark and bright are stored
    reversed (MONOCHROME1) they are turned round.

    Raises:
        InputError: as ``stack_at``, for slices in color, and for pixel data that cannot be decoded.
    """
    found = stack_at(path)
    decoded: dict[Slice, np.ndarray] = {}
    for file, group in groupby(found.slices, key=lambda s: s.path):
        decoded.update(_decoded(file, list(group)))
    images = [decoded[s] for s in found.slices]
    if images[0].ndim == 3 and not found.flat:
        raise InputError(f"{found.slices[0].path}: color slices; a volume is gray")
    kind = np.result_type(*(image.dtype for image in images))
    voxels = np.stack(images, dtype=kind if kind.kind in "iu" else np.float32, casting="unsafe")
    return found, voxels[0].T if found.flat else voxels.T


def read_series(path: str | Path) -> sitk.Image:
    """The volume of the series at ``path``, or one picture, as an image of SimpleITK; see ``read_voxels``.

    A gantry tilt is kept: the direction of the third axis is then not at right angles to the others.
    """
    found, voxels = read_voxels(path)
    image = sitk.GetImageFromArray(voxels.T, isVector=found.flat and voxels.ndim == 3)
    spacing = np.linalg.norm(found.axes, axis=0)
    if found.flat:
        image.SetSpacing(spacing[:2].tolist())
        return image
    image.SetSpacing(spacing.tolist())
    image.SetDirection((found.axes / spacing).ravel().tolist())
    image.SetOrigin(found.origin.tolist())
    return image


def _decoded(path: Path, slices: Sequence[Slice]) -> dict[Slice, np.ndarray]:
    """The rescaled images of one file, ``y, x`` or ``y, x, 3`` each."""
    own = [s.frame.rescale for s in slices]
    if len(slices) == 1 and slices[0].index == 0 or all(rescale in (None, IDENTITY) for rescale in own):
        values = _gdcm(path, path)
        return {s: values[s.index] for s in slices}
    values = _as_stored(path)
    return {s: _rescaled(values[s.index], *(s.frame.rescale or IDENTITY)) for s in slices}


def _gdcm(path: Path, named: Path) -> np.ndarray:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO("GDCMImageIO")
    try:
        values = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError:
        syntax = pydicom.dcmread(named, stop_before_pixels=True, force=True).file_meta.get("TransferSyntaxUID")
        form = f"; stored as {syntax.name}" if syntax else ""
        raise InputError(f"{named}: pixel data cannot be read (damaged, or in an unknown form{form})") from None
    return values if reader.GetDimension() == 3 else values[None]


def _as_stored(path: Path) -> np.ndarray:
    """Frames without any rescaling: GDCM would give all of them that of the first."""
    data = pydicom.dcmread(path)
    for name in (*GROUPS, "RescaleSlope", "RescaleIntercept"):
        if name in data:
            delattr(data, name)
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "frames"
        try:
            data.save_as(copy)
        except (AttributeError, TypeError, ValueError) as error:
            raise InputError(f"{path}: cannot be rescaled frame by frame ({error})"[:300]) from None
        return _gdcm(copy, path)


def _rescaled(values: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    whole = slope.is_integer() and intercept.is_integer() and values.dtype.kind in "iu"
    return values.astype(np.int32) * int(slope) + int(intercept) if whole else values * slope + intercept
