"""Pictures at their full depth, in gray or color as a network takes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813
from monai.config import PathLike
from monai.data import ImageReader
from monai.utils import MetaKeys, ensure_tuple
from PIL import Image, UnidentifiedImageError

from ..datasets.endings import PICTURES, ending_of
from ..errors import InputError

MODES = {1: "L", 3: "RGB"}
LUMA = np.array([0.299, 0.587, 0.114])  # of red, green and blue, as Pillow weighs them


class PictureReader(ImageReader):
    """Read a picture as ``x, y`` or, in color, ``x, y, 3``.

    Args:
        channels: what a picture becomes, see ``read_picture``.
        mask: it is a mask, see ``read_picture``.
    """

    def __init__(self, channels: int | None = None, mask: str | None = None) -> None:
        super().__init__()
        self.channels, self.mask = channels, mask

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        return all(ending_of(str(name)) in PICTURES for name in ensure_tuple(filename))

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs) -> np.ndarray:
        (path,) = ensure_tuple(data)
        return read_picture(path, self.channels, self.mask)

    def get_data(self, img: np.ndarray) -> tuple[np.ndarray, dict]:
        array = np.swapaxes(img, 0, 1)
        flat = array.ndim == 2
        meta = {
            MetaKeys.SPATIAL_SHAPE: np.array(array.shape[:2]),
            MetaKeys.ORIGINAL_CHANNEL_DIM: float("nan") if flat else -1,
        }
        return array, meta


def read_picture(path: PathLike, channels: int | None = None, mask: str | None = None) -> np.ndarray:
    """Values of a picture, ``rows, columns`` or ``rows, columns, 3``, at the depth it is stored in.

    8 bits stay 0 to 255, 16 bits 0 to 65,535. For one channel, color becomes gray by its luma, which leaves gray values
    in three equal channels as they are; for three, gray is repeated. Transparency is left out; black and white become 0
    and 255; a palette stands for its colors.

    Args:
        path: of the file.
        channels: 1 or 3; ``None`` or another number: as stored.
        mask: ``index`` takes the indices of a palette as class numbers; ``index`` and ``gray`` refuse colors.

    Raises:
        InputError: for a file of several pages, and for colors in a mask that should have none.
    """
    try:
        with Image.open(path) as picture:
            pages = getattr(picture, "n_frames", 1) if picture.format == "TIFF" else 1
            if pages > 1:
                raise InputError(f"{path}: holds {pages} pages; save each as a picture of its own, or all as a volume")
            if _is_deep(picture):
                values = _deep_values(path)
            elif mask == "index" and picture.mode == "P":
                values = np.asarray(picture)
            else:
                values = np.asarray(picture.convert(_mode(picture, None if mask else channels)))
    except UnidentifiedImageError:
        if not str(path).lower().endswith((".tif", ".tiff")):
            raise
        values = _deep_values(path)
    if mask in ("index", "gray") and values.ndim == 3:
        if np.ptp(values, axis=-1).any():
            raise InputError(f"{path}: a mask in color; say which color is which class (encoding)")
        return values[..., 0]
    return recolored(values, channels, axis=-1)


def recolored(values: np.ndarray, channels: int | None, axis: int) -> np.ndarray:
    """A picture, gray or with three colors along ``axis``, in gray (1) or in three channels (3)."""
    colored = values.ndim == 3
    if colored and channels == 1:
        gray = np.tensordot(values, LUMA, axes=(axis, 0))
        return gray.round().astype(values.dtype) if values.dtype.kind in "iu" else gray.astype(values.dtype)
    return np.stack([values] * 3, axis=axis) if not colored and channels == 3 else values


def _mode(picture: Image.Image, channels: int | None) -> str:
    """Of Pillow: gray or color as asked, or as the picture is."""
    return MODES.get(channels or 0) or ("L" if picture.mode in ("1", "L", "LA", "La") else "RGB")


def _is_deep(picture: Image.Image) -> bool:
    """Whether more than 8 bits are stored, which Pillow's conversions would cut off."""
    return picture.mode.startswith(("I", "F")) or any("16" in str(tile[-1]) for tile in getattr(picture, "tile", ()))


def _deep_values(path: PathLike) -> np.ndarray:
    values = sitk.GetArrayFromImage(sitk.ReadImage(str(Path(path))))
    if values.ndim == 3 and values.shape[-1] in (2, 4):
        values = values[..., :-1]  # transparency
    return values[..., 0] if values.ndim == 3 and values.shape[-1] == 1 else values
