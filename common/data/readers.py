"""Volumes from NIfTI, NRRD, MetaImage and HDF5 files and from folders with a DICOM series; pictures."""

from __future__ import annotations

from collections.abc import Sequence
from operator import methodcaller
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813
from monai.config import KeysCollection, PathLike
from monai.data import ImageReader, PILReader
from monai.data.utils import is_supported_format
from monai.transforms import LoadImaged
from monai.utils import MetaKeys, SpaceKeys, ensure_tuple

from ..datasets.dicom import read_series
from .h5 import H5Reader

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
PICTURE_MODES = {1: "L", 3: "RGB"}


class VolumeReader(ImageReader):
    """Read an NRRD or MetaImage file, or a folder with one DICOM series, by SimpleITK.

    Arrays are ``x, y, z`` with an affine to RAS, as nibabel gives them for NIfTI files.
    """

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        return is_supported_format(filename, ["nrrd", "nhdr", "mha", "mhd"]) or Path(ensure_tuple(filename)[0]).is_dir()

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs) -> sitk.Image:
        (path,) = ensure_tuple(data)
        return read_series(Path(path)) if Path(path).is_dir() else sitk.ReadImage(str(path))

    def get_data(self, img: sitk.Image) -> tuple[np.ndarray, dict]:
        spatial = img.GetDimension()
        affine = np.eye(4)
        direction = np.array(img.GetDirection()).reshape(spatial, spatial)
        affine[:spatial, :spatial] = direction * np.array(img.GetSpacing())
        affine[:spatial, 3] = img.GetOrigin()
        affine = LPS_TO_RAS @ affine
        meta = {
            MetaKeys.AFFINE: affine,
            MetaKeys.ORIGINAL_AFFINE: affine.copy(),
            MetaKeys.SPACE: SpaceKeys.RAS,
            MetaKeys.SPATIAL_SHAPE: np.array(img.GetSize()),
            MetaKeys.ORIGINAL_CHANNEL_DIM: 0 if img.GetNumberOfComponentsPerPixel() > 1 else float("nan"),
        }
        return sitk.GetArrayFromImage(img).T, meta


class LoadImageOrSeriesd(LoadImaged):
    """``LoadImaged`` channel-first, which also knows NRRD, MetaImage, HDF5 and folders with a DICOM series.

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
        self._loader.register(H5Reader())
        if picture_channels in PICTURE_MODES:
            self._loader.register(PILReader(converter=methodcaller("convert", PICTURE_MODES[picture_channels])))
