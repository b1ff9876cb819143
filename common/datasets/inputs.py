"""What there is to segment: files, folders of files, DICOM series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import InputError
from .case import Case, Entry
from .dicom import find_series, is_dicom
from .dicom.sorting import stem as dicom_stem
from .endings import ENDINGS, image_files, stem_of
from .pairing import beside


def find_images(source: str | Path | Sequence[str]) -> list[Entry]:
    """Images to segment, ``[{"image": path, "case": name}]``.

    A source is an image file, a DICOM file (which stands for its series), a folder of image files and, in it or below,
    DICOM series, or a list of these. The case names what is written: the file without its ending, or the series'
    folder. Masks beside their images (``name_mask.png``) are left out.

    Raises:
        InputError: for a path that does not exist, a folder without images, and two images of one name.
    """
    paths = [Path(source)] if isinstance(source, (str, Path)) else [Path(path) for path in source]
    found: dict[str, Path] = {}
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such image or folder (inputs)")
        for name, image in _images_of(path):
            if found.setdefault(name, image) != image:
                raise InputError(f"{image} and {found[name]}: both results would be named {name} (inputs)")
    if not found:
        raise InputError(
            f"{source}: no DICOM series and no image with one of the endings {', '.join(ENDINGS)} (inputs)"
        )
    return [Case(name, image).entry() for name, image in found.items()]


def _images_of(path: Path) -> Iterator[tuple[str, Path]]:
    if path.is_file():
        yield dicom_stem(path) if is_dicom(path) else stem_of(path), path
        return
    yield from beside(image_files(path))[0].items()
    for series in find_series(path):
        yield series.name, series.path


def require_cases(cases: Sequence, name: str) -> None:
    """Raise ``InputError`` when the list ``name`` of a data set is empty."""
    if not cases:
        raise InputError(
            f"the list '{name}' of the data set is empty: there is nothing to evaluate (split, validation)"
        )
