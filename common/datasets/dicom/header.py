"""What the header of one DICOM file says, read by pydicom without its pixels."""

from __future__ import annotations

import logging
import os
import struct
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from ...errors import InputError

# remarks on values that a scanner wrote help no user
warnings.filterwarnings("ignore", module="pydicom")
logging.getLogger("pydicom").setLevel(logging.ERROR)

ENDINGS = (".dcm", ".dicom", ".ima")  # what carries one is meant as DICOM, whatever it holds
MARK = b"DICM"
DIRECTORY = "directory of a disc"
UNDEFINED, FRAGMENT, FRAGMENTS_END = 0xFFFFFFFF, b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
VARIANTS = {  # attribute that tells images at one position apart, and what it counts
    "TemporalPositionIdentifier": "time point",
    "TemporalPositionIndex": "time point",
    "TriggerTime": "trigger time",
    "NominalCardiacTriggerDelayTime": "trigger time",
    "EchoTime": "echo time",
    "EffectiveEchoTime": "echo time",
    "DiffusionBValue": "b-value",
    "AcquisitionNumber": "acquisition",
    "AcquisitionTime": "acquisition time",
    "ContentTime": "time",
    "ImageType": "image type",
}
GROUPS = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")
TAGS = (
    *("SOPClassUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated"),
    *("PixelSpacing", "ImagerPixelSpacing"),
    *("ImagePositionPatient", "ImageOrientationPatient", "InConcatenationTotalNumber", *VARIANTS, *GROUPS),
)


@dataclass(frozen=True, eq=False)
class Frame:
    """One image: where it lies, in mm and patient coordinates (LPS); ``None`` for what the header does not say.

    Attributes:
        position: of the first pixel's center.
        orientation: directions of the rows and of the columns, six numbers.
        spacing: between columns and between rows (x, y).
        rescale: slope and intercept of this frame's own, where a multi-frame file gives one.
        variant: what tells images at one position apart: times, echoes, b-values.
    """

    position: np.ndarray | None
    orientation: np.ndarray | None
    spacing: tuple[float, float] | None
    rescale: tuple[float, float] | None = None
    variant: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Header:
    """The header of a file.

    Attributes:
        kind: name of what is stored, such as ``CT Image Storage``.
        aside: why the file is no image to segment; empty for an image.
        series: its unique identifier; empty where anonymization removed it.
        size: columns and rows.
        frames: the images in the file.
    """

    path: Path
    kind: str
    aside: str = ""
    series: str = ""
    number: int | None = None
    size: tuple[int, int] = (0, 0)
    samples: int = 1
    frames: tuple[Frame, ...] = ()


def is_dicom(path: str | Path) -> bool:
    """Whether a file is DICOM by its content: ``DICM`` at byte 128, or an old file's bare elements of group 8."""
    if not os.path.isfile(path):  # a pipe would be waited for
        return False
    try:
        with open(path, "rb") as file:
            start = file.read(132)
    except OSError:
        return False
    return start[128:] == MARK or _bare(start)


def _bare(start: bytes) -> bool:
    """Without the mark: the first element is the length, or one of the first attributes, of group 8."""
    if (
        len(start) < 16
        or start[:2] != b"\x08\x00"
        or start[2:4] not in (b"\0\0", b"\1\0", b"\5\0", b"\x08\0", b"\x16\0")
    ):
        return False
    return start[4:6] in (b"UL", b"CS", b"UI", b"RE") or struct.unpack("<I", start[4:8])[0] < 256


def read_header(path: Path) -> Header:
    """The header of a DICOM file.

    Raises:
        InputError: naming the file, for one that cannot be read, an image without extents or pixels, and pixel data
            that are cut short.
    """
    try:
        state = os.stat(path)
        return _read(path, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from None


@lru_cache(maxsize=20000)
def _read(path: Path, length: int, _: int) -> Header:
    if not is_dicom(path):
        raise InputError(f"{path}: no DICOM, whatever its name says ({'empty' if not length else 'damaged'} file?)")
    try:
        with open(path, "rb") as file:
            data = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(TAGS), force=True)
            return _header(path, data, _pixel_bytes(path, file, data, length))
    except (InputError, OSError):
        raise
    except Exception as error:  # pydicom meets damage in many ways
        raise InputError(f"{path}: not a readable DICOM file ({type(error).__name__}: {error})"[:300]) from None


def _header(path: Path, data: Dataset, stored: int | None) -> Header:
    name = UID(str(data.get("SOPClassUID") or data.file_meta.get("MediaStorageSOPClassUID", ""))).name
    kind = name if name[:1].isalpha() else "private object" if name else "unknown"
    number = _number(data, "SeriesNumber")
    known: dict[str, Any] = {
        "series": str(data.get("SeriesInstanceUID", "")),
        "number": None if number is None else int(number),
    }
    columns, rows = (int(_number(data, key) or 0) for key in ("Columns", "Rows"))
    size = (columns, rows)
    if not name[:1].isalpha() and not min(size) and not known["series"]:
        raise InputError(f"{path}: DICOM that says neither what it is nor how large (damaged file?)")
    if aside := _aside(kind, data, min(size)):
        return Header(path, kind, aside, **known)
    if not min(size):
        raise InputError(f"{path}: an image without rows and columns (damaged file?)")
    count, samples = (int(_number(data, key) or 1) for key in ("NumberOfFrames", "SamplesPerPixel"))
    packed = 2 if data.get("PhotometricInterpretation") == "YBR_FULL_422" else samples
    _check_pixels(path, data, stored, size[0] * size[1] * count * packed)
    if (_number(data, "InConcatenationTotalNumber") or 1) > 1:
        raise InputError(f"{path}: one part of a multi-frame image in several files; join them beforehand")
    return Header(path, kind, "", **known, size=size, samples=samples, frames=_frames(path, data, count))


def _aside(kind: str, data: Dataset, extent: int) -> str:
    """Why an object is no image to segment; empty for one that is."""
    if kind in ("Segmentation Storage", "Label Map Segmentation Storage", "RT Dose Storage"):
        return kind.removesuffix(" Storage").lower()
    if not extent and "Image" not in kind:
        return DIRECTORY if "Directory" in kind else kind.removesuffix(" Storage")
    words = {str(word).upper() for word in _many(data, "ImageType")}
    return next((word.lower() for word in ("LOCALIZER", "SCOUT", "TOPOGRAM") if word in words), "")


def _pixel_bytes(path: Path, file, data: Dataset, length: int) -> int | None:
    """Bytes of uncompressed pixel data in the file, 0 if there are none; ``None`` where they are compressed.

    ``file`` stands at the element of the pixel data, or at its end.

    Raises:
        InputError: for compressed pixel data that are cut short.
    """
    syntax = getattr(data.file_meta, "TransferSyntaxUID", ImplicitVRLittleEndian)
    if syntax == DeflatedExplicitVRLittleEndian:
        return None
    start = file.read(12)
    if len(start) < 12:
        return 0
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    explicit = start[4:6] in (b"OB", b"OW", b"OF", b"OD", b"UN")
    (stated,) = struct.unpack(f"{order}I", start[8:12] if explicit else start[4:8])
    if stated == UNDEFINED and not _is_whole(file, length):
        raise InputError(f"{path}: compressed pixel data are cut short (damaged file?)")
    if stated == UNDEFINED or syntax.is_private:
        return None
    return min(stated, length - file.tell() + (0 if explicit else 4))


def _is_whole(file, length: int) -> bool:
    """Whether all fragments of compressed pixel data lie in the file; GDCM would search for their end for seconds."""
    while len(item := file.read(8)) == 8 and item[:4] != FRAGMENTS_END:
        (size,) = struct.unpack("<I", item[4:])
        if item[:4] != FRAGMENT or file.tell() + size > length:
            return False
        file.seek(size, os.SEEK_CUR)
    return len(item) in (0, 8)


def _check_pixels(path: Path, data: Dataset, stored: int | None, values: int) -> None:
    bits = _number(data, "BitsAllocated")
    if stored is None or not bits:
        return
    if not stored:
        raise InputError(f"{path}: an image without pixel data (damaged file?)")
    if stored < values * bits // 8:
        raise InputError(
            f"{path}: pixel data are cut short, {stored} bytes of {int(values * bits // 8)} (damaged file?)"
        )


def _frames(path: Path, data: Dataset, count: int) -> tuple[Frame, ...]:
    groups = data.get(GROUPS[0])
    shared = next(iter(data.get(GROUPS[1]) or ()), Dataset())
    if not groups:
        frame = _frame([data, *_items([shared])])
        return (frame,) if count == 1 else (Frame(None, None, frame.spacing),) * count
    if len(groups) != count:
        raise InputError(f"{path}: says {count} frames and describes {len(groups)} (damaged file?)")
    common = [*_items([shared]), data]
    return tuple(_frame([*_items([group]), *common]) for group in groups)


def _items(groups: Iterable[Dataset]) -> list[Dataset]:
    """The data sets one level below functional groups: each attribute of a frame stands in one of them."""
    return [item for group in groups for element in group if element.VR == "SQ" for item in element.value[:1]]


def _frame(places: list[Dataset]) -> Frame:
    def first(name: str) -> np.ndarray | None:
        return next((np.array(_many(place, name), float) for place in places if _many(place, name)), None)

    position, orientation = first("ImagePositionPatient"), first("ImageOrientationPatient")
    spacing = first("PixelSpacing")
    if spacing is None:
        spacing = first("ImagerPixelSpacing")
    slope, intercept = first("RescaleSlope"), first("RescaleIntercept")
    return Frame(
        position if position is not None and position.shape == (3,) else None,
        orientation if orientation is not None and orientation.shape == (6,) else None,
        None if spacing is None or spacing.shape != (2,) else (float(spacing[1]), float(spacing[0])),
        None if slope is None or intercept is None else (float(slope[0]), float(intercept[0])),
        {name: str(place.get(name)) for name in VARIANTS for place in places if place.get(name) not in (None, "")},
    )


def _many(data: Dataset, name: str) -> list:
    value = data.get(name)
    return (
        []
        if value is None or value == ""
        else list(value)
        if hasattr(value, "__iter__") and not isinstance(value, str)
        else [value]
    )


def _number(data: Dataset, name: str) -> float | None:
    values = _many(data, name)
    return float(values[0]) if values else None
