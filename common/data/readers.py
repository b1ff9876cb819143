"""Volumes from NIfTI, NRRD, MetaImage and HDF5 files and from DICOM series; pictures."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk  # noqa: N813
from monai.config import KeysCollection, PathLike
from monai.data import ImageReader, NibabelReader
from monai.data.utils import correct_nifti_header_if_necessary
from monai.transforms import LoadImaged
from monai.utils import MetaKeys, SpaceKeys, ensure_tuple
from nibabel.spatialimages import SpatialImage

from ..datasets.dicom import ENDINGS as DICOM_ENDINGS
from ..datasets.dicom import Stack, is_dicom, read_voxels
from ..datasets.endings import ending_of
from ..datasets.gate import PLACED, check_affine
from ..datasets.itk import file_reader
from ..errors import InputError
from .h5 import H5Reader
from .pictures import PictureReader, recolored

# MONAI tries out a decoder for GPUs with every loader and complains where there is none; nothing here uses it
logging.getLogger("monai.data.nvimgcodec_pydicom_plugin").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", message="NvImgCodecPydicomReader")
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


class VolumeReader(ImageReader):
    """Read an NRRD or MetaImage file by SimpleITK.

    Arrays are ``x, y, z`` with an affine to RAS, as nibabel gives them for NIfTI files.
    """

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        return all(ending_of(str(name)) in (".nrrd", ".nhdr", ".mha", ".mhd") for name in ensure_tuple(filename))

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs) -> sitk.Image:
        (path,) = ensure_tuple(data)
        image = file_reader(path).Execute()
        if "complex" in image.GetPixelIDTypeAsString():
            require_numbers(np.dtype(np.complex64), path)
        return image

    def get_data(self, img: sitk.Image) -> tuple[np.ndarray, dict]:
        spatial = img.GetDimension()
        affine = np.eye(4)
        direction = np.array(img.GetDirection()).reshape(spatial, spatial)
        affine[:spatial, :spatial] = direction * np.array(img.GetSpacing())
        affine[:spatial, 3] = img.GetOrigin()
        return sitk.GetArrayFromImage(img).T, _meta(affine, img.GetSize(), img.GetNumberOfComponentsPerPixel() > 1)


class NiftiReader(NibabelReader):
    """MONAI's reader of NIfTI files, which refuses voxels that are no single real numbers."""

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        return all(ending_of(str(name)) in (".nii", ".nii.gz") for name in ensure_tuple(filename))

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs) -> SpatialImage:
        self.filenames = ensure_tuple(data)
        (path,) = self.filenames
        image = nibabel.load(path)
        require_numbers(image.get_data_dtype(), path)
        check_affine(image.affine, path)  # of the file: MONAI replaces some
        return correct_nifti_header_if_necessary(image)


def require_numbers(kind: np.dtype, path: PathLike) -> None:
    """Raise ``InputError`` for complex voxels and for voxels of several parts, such as colors."""
    if kind.kind == "c":
        raise InputError(f"{path}: complex voxels; save their magnitude")
    if kind.kind not in "iufb":
        raise InputError(f"{path}: voxels of the kind {kind} (color?); save them as numbers")


class DicomReader(ImageReader):
    """Read the DICOM series in a folder, or the one that a file belongs to; see ``common.datasets.dicom``.

    Arrays are ``x, y, z`` with an affine to RAS, of a single image ``x, y`` or ``3, x, y``.

    Args:
        picture_channels: single images become gray (1) or color (3), however they are stored; ``None``: as stored.
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
        if found.flat:
            voxels = recolored(voxels, self.picture_channels, axis=0)
        colored = found.flat and voxels.ndim == 3
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = found.axes, found.origin
        return voxels, {**_meta(affine, voxels.shape[colored:], colored), PLACED: not found.flat}


def _meta(affine: np.ndarray, size: Sequence[int], channels_first: bool) -> dict:
    affine = LPS_TO_RAS @ affine
    return {
        MetaKeys.AFFINE: affine,
        MetaKeys.ORIGINAL_AFFINE: affine.copy(),
        MetaKeys.SPACE: SpaceKeys.RAS,
        MetaKeys.SPATIAL_SHAPE: np.array(size),
        MetaKeys.ORIGINAL_CHANNEL_DIM: 0 if channels_first else float("nan"),
    }


class LoadImageOrSeriesd(LoadImaged):
    """``LoadImaged`` channel-first, which also knows NRRD, MetaImage, HDF5 and DICOM series.

    Args:
        keys: entries that hold a path.
        allow_missing_keys: leave cases without an entry alone.
        picture_channels: pictures become gray (1) or color (3), however they are stored; ``None``: as stored.
    """

    def __init__(
        self, keys: KeysCollection, allow_missing_keys: bool = False, picture_channels: int | None = None
    ) -> None:
        super().__init__(keys, ensure_channel_first=True, allow_missing_keys=allow_missing_keys)
        self._loader.register(VolumeReader())
        self._loader.register(DicomReader(picture_channels))
        self._loader.register(H5Reader())
        self._loader.register(PictureReader(picture_channels))
        self._loader.register(NiftiReader())
