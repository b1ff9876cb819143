"""Volumes from NIfTI, NRRD, MetaImage and HDF5 files and from DICOM series; pictures."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from operator import methodcaller
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813
from monai.config import KeysCollection, PathLike
from monai.data import ImageReader, PILReader
from monai.data.utils import is_supported_format
from monai.transforms import LoadImaged, MapTransform
from monai.utils import MetaKeys, SpaceKeys, ensure_tuple

from ..datasets.dicom import ENDINGS as DICOM_ENDINGS
from ..datasets.dicom import Stack, is_dicom, read_voxels
from .h5 import H5Reader

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
PICTURE_MODES = {1: "L", 3: "RGB"}
LUMA = np.array([0.299, 0.587, 0.114])  # of red, green and blue


class VolumeReader(ImageReader):
    """Read an NRRD or MetaImage file by SimpleITK.

    Arrays are ``x, y, z`` with an affine to RAS, as nibabel gives them for NIfTI files.
    """

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        return is_supported_format(filename, ["nrrd", "nhdr", "mha", "mhd"])

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs) -> sitk.Image:
        (path,) = ensure_tuple(data)
        return sitk.ReadImage(str(path))

    def get_data(self, img: sitk.Image) -> tuple[np.ndarray, dict]:
        spatial = img.GetDimension()
        affine = np.eye(4)
        direction = np.array(img.GetDirection()).reshape(spatial, spatial)
        affine[:spatial, :spatial] = direction * np.array(img.GetSpacing())
        affine[:spatial, 3] = img.GetOrigin()
        return sitk.GetArrayFromImage(img).T, _meta(affine, img.GetSize(), img.GetNumberOfComponentsPerPixel() > 1)


class DicomReader(ImageReader):
    """Read the DICOM series in a folder, or the one that a file belongs to; see ``common.datasets.dicom``.

    Arrays are ``x, y, z`` with an affine to RAS, of a single image ``x, y`` or ``3, x, y``.

    Args:
        picture_channels: single images become grey (1) or color (3), however they are stored; ``None``: as stored.
    """

    def __init__(self, picture_channels: int | None = None) -> None:
        super().__init__()
        self.picture_channels = picture_channels

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        path = Path(ensure_tuple(filename)[0])
        return path.is_dir() or is_dicom(path) or path.suffix.lower() in DICOM_ENDINGS

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs) -> tuple[Stack, np.ndarray]:
        (path,) = ensure_tuple(data)
        return read_voxels(path)

    def get_data(self, img: tuple[Stack, np.ndarray]) -> tuple[np.ndarray, dict]:
        found, voxels = img
        if found.flat and self.picture_channels in PICTURE_MODES:
            voxels = _recolored(voxels, self.picture_channels)
        colored = found.flat and voxels.ndim == 3
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = found.axes, found.origin
        return voxels, _meta(affine, voxels.shape[colored:], colored)


def _meta(affine: np.ndarray, size: Sequence[int], channels_first: bool) -> dict:
    affine = LPS_TO_RAS @ affine
    return {
        MetaKeys.AFFINE: affine,
        MetaKeys.ORIGINAL_AFFINE: affine.copy(),
        MetaKeys.SPACE: SpaceKeys.RAS,
        MetaKeys.SPATIAL_SHAPE: np.array(size),
        MetaKeys.ORIGINAL_CHANNEL_DIM: 0 if channels_first else float("nan"),
    }


def _recolored(voxels: np.ndarray, channels: int) -> np.ndarray:
    """A picture ``x, y`` or ``3, x, y`` as grey (by the weights that Pillow uses) or in three channels."""
    if voxels.ndim == 3 and channels == 1:
        return np.tensordot(LUMA, voxels, axes=1).round().astype(voxels.dtype)
    return np.repeat(voxels[None], 3, axis=0) if voxels.ndim == 2 and channels == 3 else voxels


class LoadImageOrSeriesd(LoadImaged):
    """``LoadImaged`` channel-first, which also knows NRRD, MetaImage, HDF5 and DICOM series.

    Args:
        keys: entries that hold a path.
        allow_missing_keys: leave cases without an entry alone.
        picture_channels: pictures become grey (1) or color (3), however they are stored; ``None``: as stored.
    """

    def __init__(
        self, keys: KeysCollection, allow_missing_keys: bool = False, picture_channels: int | None = None
    ) -> None:
        super().__init__(keys, ensure_channel_first=True, allow_missing_keys=allow_missing_keys)
        self._loader.register(VolumeReader())
        self._loader.register(DicomReader(picture_channels))
        self._loader.register(H5Reader())
        if picture_channels in PICTURE_MODES:
            self._loader.register(PILReader(converter=methodcaller("convert", PICTURE_MODES[picture_channels])))


class LoadLabeld(MapTransform):
    """Load labels as ``LoadImageOrSeriesd`` does, where there are any, without being a ``LoadImaged``.

    MONAI Label gives every ``LoadImaged`` of a chain a wrapper of its own, which fails where a key is missing; a case
    to segment has no label.

    Args:
        keys: entries that hold a path.
    """

    def __init__(self, keys: KeysCollection) -> None:
        super().__init__(keys, allow_missing_keys=True)
        self.load = LoadImageOrSeriesd(keys, allow_missing_keys=True)

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        return self.load(data)
