"""HDF5 files that hold an image and its label side by side."""

from __future__ import annotations

from collections.abc import Sequence

import h5py
import numpy as np
from monai.config import PathLike
from monai.data import ImageReader
from monai.data.utils import is_supported_format
from monai.utils import MetaKeys, ensure_tuple


class H5Reader(ImageReader):
    """Read one array of an ``.h5`` file: a slice ``H, W``, or a volume ``D, H, W``, which becomes ``H, W, D``.

    Args:
        key: name of the array.
    """

    def __init__(self, key: str = "image") -> None:
        super().__init__()
        self.key = key

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        return is_supported_format(filename, ["h5"])

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs) -> np.ndarray:
        (path,) = ensure_tuple(data)
        with h5py.File(path) as file:
            return np.asarray(file[self.key])

    def get_data(self, img: np.ndarray) -> tuple[np.ndarray, dict]:
        array = np.moveaxis(img, 0, -1) if img.ndim == 3 else img
        meta = {MetaKeys.SPATIAL_SHAPE: np.asarray(array.shape), MetaKeys.ORIGINAL_CHANNEL_DIM: float("nan")}
        return array, meta
