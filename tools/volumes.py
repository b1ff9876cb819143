"""Reading, cropping, resampling and scaling of volumes that keep their geometry."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, SpatialImage

from common.datasets.dicom import is_dicom, read_series
from common.datasets.endings import ending_of
from common.datasets.itk import file_reader
from common.errors import InputError

Box = list[tuple[int, int]]
UNREADABLE = (RuntimeError, OSError, EOFError, ValueError, MemoryError, zlib.error, ImageFileError, HeaderDataError)


def read(path: str | Path) -> sitk.Image:
    """An image file or DICOM series; ``InputError`` naming it if it cannot be read.

    NIfTI files are decoded by nibabel: ITK turns NaN and infinite voxels, and the lost end of a file, to 0 without a
    word.
    """
    if Path(path).is_dir() or is_dicom(path):
        return read_series(path)
    try:
        if ending_of(path) in (".nii", ".nii.gz"):
            stored = nibabel.load(path)
            if stored.get_data_dtype().kind in "fiu":
                return _decoded(path, stored)
        return file_reader(path).Execute()
    except InputError:
        raise
    except UNREADABLE as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        lost = isinstance(error, (OSError, EOFError, zlib.error)) and not isinstance(error, FileNotFoundError)
        advice = "; fetch or unpack it again" if lost else ""
        raise InputError(f"{path}: cannot be read ({reason[:160]}){advice}") from None


def _decoded(path: str | Path, stored: SpatialImage) -> sitk.Image:
    """The voxels of a NIfTI file, in float32 where it scales them, on the grid that ITK reads from its header."""
    header = file_reader(path)
    header.ReadImageInformation()
    values = np.asanyarray(stored.dataobj)
    scaled_values = values.dtype != stored.get_data_dtype()
    values = values.astype(np.float32 if scaled_values else values.dtype.newbyteorder("="))
    while values.ndim > header.GetDimension() and values.shape[-1] == 1:
        values = values[..., 0]
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.T), isVector=False)
    image.SetSpacing(header.GetSpacing())
    image.SetOrigin(header.GetOrigin())
    image.SetDirection(header.GetDirection())
    return image


def array(image: sitk.Image) -> np.ndarray:
    """A copy of the voxels in the order x, y(, z), channels last."""
    spatial = image.GetDimension()
    return sitk.GetArrayFromImage(image).transpose([*reversed(range(spatial)), *range(spatial, _dims(image))])


def from_array(
    values: np.ndarray, like: sitk.Image | None = None, spacing: Sequence[float] | None = None
) -> sitk.Image:
    """An image of ``values`` in the order x, y(, z), with the geometry of ``like`` or the given spacing."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.T))
    if like is not None:
        image.CopyInformation(like)
    elif spacing is not None:
        image.SetSpacing([float(s) for s in spacing])
    return image


def _dims(image: sitk.Image) -> int:
    return image.GetDimension() + (image.GetNumberOfComponentsPerPixel() > 1)


def same_grid(image: sitk.Image, label: sitk.Image, tolerance: float = 1e-3) -> bool:
    """Whether two images have equal extents, spacing, origin and direction (to a share ``tolerance`` of a voxel)."""
    if image.GetDimension() == label.GetDimension() + 1:
        image = image[(..., 0)]  # channels
    if image.GetSize() != label.GetSize():
        return False
    far = [n - 1 for n in image.GetSize()]
    corners = [(0,) * len(far), *(tuple(f if a == b else 0 for b, f in enumerate(far)) for a in range(len(far)))]
    limit = tolerance * min(image.GetSpacing())
    return all(
        np.allclose(image.TransformIndexToPhysicalPoint(c), label.TransformIndexToPhysicalPoint(c), rtol=0, atol=limit)
        for c in corners
    )


def on_grid(label: sitk.Image, image: sitk.Image, path: str | Path) -> sitk.Image:
    """``label`` turned to the axes of ``image`` by its own header and given the image's geometry.

    Labels of several archives carry an origin of their own, or axes that run the other way; the voxels correspond.

    Raises:
        InputError: naming ``path``, if the extents differ.
    """
    if same_grid(image, label):
        return label
    orientation = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())
    turned = sitk.DICOMOrient(label, orientation)
    if turned.GetSize() != image.GetSize():
        raise InputError(f"{path}: label of size {label.GetSize()} for an image of size {image.GetSize()}")
    turned.CopyInformation(image)
    return turned


def bounding_box(mask: np.ndarray) -> Box:
    """First and last index of the nonzero voxels along each axis.

    Raises:
        InputError: for an empty mask.
    """
    if not mask.any():
        raise InputError("the label is empty: there is nothing to crop around")
    axes = range(mask.ndim)
    spans = [np.flatnonzero(mask.any(axis=tuple(b for b in axes if b != a))) for a in axes]
    return [(int(span[0]), int(span[-1])) for span in spans]


def crop(image: sitk.Image, box: Box) -> sitk.Image:
    """The part between start and stop (exclusive) of each axis, cut at the border; its origin moves along."""
    box = [(max(a, 0), min(b, n)) for (a, b), n in zip(box, image.GetSize())]
    return sitk.RegionOfInterest(image, [b - a for a, b in box], [a for a, _ in box])


def resample(image: sitk.Image, spacing: Sequence[float], label: bool = False) -> sitk.Image:
    """Resample to ``spacing`` in mm: cubic B-spline for an image, nearest neighbor for a label."""
    size = [max(round(n * old / new), 1) for n, old, new in zip(image.GetSize(), image.GetSpacing(), spacing)]
    kind = image.GetPixelID() if label else sitk.sitkFloat32
    corner = [(new - old) / 2 / old for old, new in zip(image.GetSpacing(), spacing)]  # first voxel, in old indices
    origin = image.TransformContinuousIndexToPhysicalPoint(corner)
    # centres of a finer grid lie outside the outermost old ones: extend the image by its border values
    image = sitk.ZeroFluxNeumannPad(sitk.Cast(image, kind), [4] * 3, [4] * 3)
    interpolator = sitk.sitkNearestNeighbor if label else sitk.sitkBSpline
    return sitk.Resample(image, size, sitk.Transform(), interpolator, origin, spacing, image.GetDirection(), 0, kind)


def straight(image: sitk.Image, label: bool = False) -> sitk.Image:
    """``image`` on axes at right angles, large enough for all of it: linear for an image, nearest for a label.

    Slices of a scan with a tilted gantry are shifted against each other, which NIfTI files of ITK cannot hold. One that
    is straight is returned as it is. Around the slices lies the image's least value, around a label 0.
    """
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() > 1:
        return image
    direction = np.array(image.GetDirection()).reshape(3, 3)
    if np.allclose(direction.T @ direction, np.eye(3), atol=1e-4):
        return image
    turned = np.column_stack([direction[:, 0], direction[:, 1], np.cross(direction[:, 0], direction[:, 1])])
    spacing = np.array(image.GetSpacing()) * [1, 1, direction[:, 2] @ turned[:, 2]]
    ends = np.array(list(np.ndindex(2, 2, 2))) * (np.array(image.GetSize()) - 1)
    corners = np.array([image.TransformIndexToPhysicalPoint(tuple(map(int, end))) for end in ends]) @ turned
    size = np.ceil((corners.max(0) - corners.min(0)) / spacing - 1e-6).astype(int) + 1
    outside = 0.0 if label else float(sitk.GetArrayViewFromImage(image).min())
    kind, how = (image.GetPixelID(), sitk.sitkNearestNeighbor) if label else (sitk.sitkFloat32, sitk.sitkLinear)
    origin = (turned @ corners.min(0)).tolist()
    return sitk.Resample(
        image, size.tolist(), sitk.Transform(), how, origin, spacing.tolist(), turned.ravel().tolist(), outside, kind
    )


def scaled(image: sitk.Image, values: np.ndarray) -> sitk.Image:
    """``values`` (x, y, z) as float32 with the geometry of ``image``."""
    return from_array(values.astype(np.float32), like=image)


def z_score(values: np.ndarray) -> np.ndarray:
    """(v - mean) / standard deviation, in double precision.

    Raises:
        InputError: for a constant image.
    """
    values = values.astype(np.float64)
    if not (deviation := values.std()) > 0:
        raise InputError("the image is constant or not finite: it cannot be normalized")
    return (values - values.mean()) / deviation


def binary(label: sitk.Image, mask: np.ndarray) -> sitk.Image:
    """``mask`` (x, y, z) as a label of zeros and ones with the geometry of ``label``."""
    return from_array(mask.astype(np.uint8), like=label)
