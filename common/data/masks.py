"""Masks as data sets store them, decoded to class indices."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from operator import methodcaller
from pathlib import Path

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor, PILReader
from monai.transforms import LoadImage, MapTransform
from monai.utils import ensure_tuple
from torch import Tensor

from ..errors import InputError
from .h5 import H5Reader
from .readers import VolumeReader

TOLERANCE = 1e-3  # between a label's value in a file of decimal numbers and the whole number meant
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
            ``index`` takes the stored integers as they are.
        allow_missing_keys: leave cases without a label alone.

    Raises:
        InputError: naming the file, for a value the encoding does not know and for masks of different sizes.
    """

    def __init__(
        self, keys: KeysCollection, encoding: str | Mapping = "index", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.codes = codes_of(encoding)
        self.color = self.codes is not None and any(isinstance(code, tuple) for code in self.codes)
        self.load = LoadImage(image_only=True)
        self.load.register(PILReader(converter=methodcaller("convert", "RGB" if self.color else "L")))
        self.load.register(H5Reader("label"))
        self.load.register(VolumeReader())

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.decode([Path(path) for path in ensure_tuple(result[key])])
        return result

    def decode(self, paths: list[Path]) -> Tensor:
        """Label map of the masks in these files."""
        stored = [self.load(path) for path in paths]
        maps = [self.classes_of(path, np.asarray(values)) for path, values in zip(paths, stored)]
        for path, other in zip(paths, maps):
            if other.shape != maps[0].shape:
                raise InputError(f"{path}: mask of size {other.shape}, but {paths[0].name} has {maps[0].shape}")
        return MetaTensor(torch.from_numpy(np.maximum.reduce(maps)).unsqueeze(0), affine=stored[0].affine)

    def classes_of(self, path: Path, stored: np.ndarray) -> np.ndarray:
        """Class indices of the values that a file holds."""
        packed = stored @ _PACKING if self.color else stored
        values, where = np.unique(packed, return_inverse=True)
        known = [_unpack(value) if self.color else value.item() for value in values]
        codes = {value: value for value in known} if self.codes is None else self.codes
        wrong = [value for value in known if value not in codes or codes[value] not in range(256)]
        if wrong:
            raise InputError(f"{path}: unknown mask values {wrong[:5]}; the encoding knows {list(codes)[:8]}")
        return np.array([codes[value] for value in known], np.uint8)[where].reshape(packed.shape)


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
    value_of: dict[int, object] = {}
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


class ClassesOfValuesd(MapTransform):
    """Class numbers, uint8, in place of the values that label files hold.

    Args:
        keys: labels, ``1, spatial...``.
        encoding: see ``DecodeMaskd``.
        allow_missing_keys: leave cases without a label alone.

    Raises:
        InputError: for a value that the encoding does not know.
    """

    def __init__(self, keys: KeysCollection, encoding: str | Mapping, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.codes = codes_of(encoding)

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        result = dict(data)
        for key in self.key_iterator(result) if self.codes is not None else ():
            stored = result[key]
            classes = torch.zeros_like(stored, dtype=torch.uint8)
            known = torch.zeros(stored.shape, dtype=torch.bool)
            for value, number in self.codes.items():
                here = (stored - value).abs() < TOLERANCE
                classes[here], known = number, known | here.as_subclass(Tensor)
            if not known.all():
                wrong = torch.unique(stored.as_subclass(Tensor)[~known])[:5].tolist()
                file = stored.meta.get("filename_or_obj", key) if isinstance(stored, MetaTensor) else key
                raise InputError(f"{file}: unknown label values {wrong}; the encoding knows {list(self.codes)[:8]}")
            result[key] = classes
        return result
