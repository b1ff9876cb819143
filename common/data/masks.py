"""Masks as data sets store them, decoded to class indices."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import LoadImage, MapTransform
from monai.utils import ImageMetaKey, ensure_tuple
from torch import Tensor

from ..datasets.gate import whole_numbers
from ..errors import InputError
from .h5 import H5Reader
from .pictures import PictureReader
from .readers import NiftiReader, VolumeReader

# Stored value, or RGB triple, to class; of several values of a class the first is the one that is written. ``fundus``
# follows the published rule, where a rim is anything up to 128.
ENCODINGS: dict[str, Mapping | None] = {
    "index": None,
    "binary": {0: 0, 255: 1},
    "prostate": {0: 1, 255: 0},
    "fundus": {255: 0, 0: 1, 128: 2, **dict.fromkeys(range(1, 128), 2), **dict.fromkeys(range(129, 255), 0)},
    "mnms": {(0, 0, 0): 0, (255, 0, 0): 1, (0, 255, 0): 2, (0, 0, 255): 3},
    "mscmr": {0: 0, 200: 1, 500: 2, 600: 3},
}


class DecodeMaskd(MapTransform):
    """Read mask files and decode them to one label map of class indices, ``1, spatial...`` uint8.

    Several masks of one image are united: a voxel takes the highest class among them. The geometry is the first's.

    Args:
        keys: entries that hold a path or a list of paths.
        encoding: one of ``ENCODINGS``, or a mapping of stored values (RGB triples for color masks) to classes.
            ``index`` takes the stored integers, up to 255, as they are.
        allow_missing_keys: leave cases without a label alone.

    Raises:
        InputError: naming the file, for a value the encoding does not know, for masks of different sizes, for one with
            a layer for each class, and for one that cannot be read.
    """

    def __init__(
        self, keys: KeysCollection, encoding: str | Mapping = "index", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.codes = codes_of(encoding)
        self.color = self.codes is not None and any(isinstance(code, tuple) for code in self.codes)
        self.load = LoadImage(image_only=True)
        kind = None if self.color else "index" if self.codes is None else "gray"
        for reader in (PictureReader(3 if self.color else 1, kind), H5Reader("label"), VolumeReader(), NiftiReader()):
            self.load.register(reader)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.decode([Path(path) for path in ensure_tuple(result[key])])
        return result

    def decode(self, paths: list[Path]) -> Tensor:
        """Label map of the masks in these files."""
        stored = [self.load(path) for path in paths]
        maps = [self.classes_of(path, _one_map(path, np.asarray(values))) for path, values in zip(paths, stored)]
        for path, other in zip(paths, maps):
            if other.shape != maps[0].shape:
                raise InputError(f"{path}: mask of size {other.shape}, but {paths[0].name} has {maps[0].shape}")
        meta = {ImageMetaKey.FILENAME_OR_OBJ: str(paths[0])}
        return MetaTensor(torch.from_numpy(np.maximum.reduce(maps)).unsqueeze(0), affine=stored[0].affine, meta=meta)

    def classes_of(self, path: Path, stored: np.ndarray) -> np.ndarray:
        """Class indices of the values that a file holds."""
        if self.color:
            values, where = np.unique(stored @ _PACKING, return_inverse=True)
            known: list[Any] = [_unpack(value) for value in values]
            return np.array(self._look_up(path, known), np.uint8)[where].reshape(stored.shape[:-1])
        bytes_ = stored.astype(np.uint8) if stored.size and stored.min() >= 0 and stored.max() <= 255 else None
        if bytes_ is None or not np.array_equal(bytes_, stored):
            values, where = np.unique(stored, return_inverse=True)
            known = [int(value) for value in whole_numbers(values, path)]
            return np.array(self._look_up(path, known), np.uint8)[where].reshape(stored.shape)
        present = np.flatnonzero(np.bincount(bytes_.ravel(), minlength=256))
        classes = np.zeros(256, np.uint8)
        classes[present] = self._look_up(path, present.tolist())
        return classes[bytes_]

    def _look_up(self, path: Path, values: list) -> list[int]:
        codes = {value: value for value in range(256)} if self.codes is None else self.codes
        wrong = [value for value in values if value not in codes or codes[value] not in range(256)]
        if wrong and self.codes is None:
            raise InputError(f"{path}: label values {wrong[:5]}: class numbers are 0 to 255")
        if wrong:
            raise InputError(f"{path}: unknown mask values {wrong[:5]}; the encoding knows {list(codes)[:8]}")
        return [codes[value] for value in values]


def _one_map(path: Path, stored: np.ndarray) -> np.ndarray:
    """The map of a file, whose axes beyond the third must be empty ones."""
    while stored.ndim > 3 and stored.shape[-1] == 1:
        stored = stored[..., 0]
    if stored.ndim > 3:
        raise InputError(
            f"{path}: a label of {stored.ndim} axes {stored.shape}, one layer for each class or segment? Save one map "
            "of class numbers"
        )
    return stored


_PACKING = np.array([65536, 256, 1], np.float32)  # exact in float32: below 2 ** 24


def _unpack(value: np.floating) -> tuple[int, int, int]:
    return int(value) >> 16, int(value) >> 8 & 255, int(value) & 255


def stored_values(encoding: str | Mapping, classes: int) -> list | None:
    """The value, or RGB triple, that files of a data set hold for each class; ``None`` where that is the class.

    Of several values the first one that the encoding lists counts. A class that it does not know keeps its number.

    Raises:
        InputError: for such a class whose number stands for another one.
    """
    codes = codes_of(encoding)
    if codes is None:
        return None
    value_of: dict[int, Any] = {}
    for value, number in codes.items():
        value_of.setdefault(int(number), value)
    if clash := [number for number in range(classes) if number not in value_of and number in codes]:
        raise InputError(f"encoding {dict(codes)}: no value of class {clash[0]}")
    values = [value_of.get(number, number) for number in range(classes)]
    return None if values == list(range(classes)) else values


def codes_of(encoding: str | Mapping) -> Mapping | None:
    """Classes by stored value; ``None`` for ``index``. Keys that went through JSON are numbers again."""
    if isinstance(encoding, str):
        if encoding not in ENCODINGS:
            raise InputError(f"mask encoding must be one of {', '.join(ENCODINGS)} or a mapping, got {encoding!r}")
        return ENCODINGS[encoding]
    return {int(value) if isinstance(value, str) else value: number for value, number in encoding.items()}
