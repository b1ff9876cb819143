"""Which masks belong to which image, by their names."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from ..errors import InputError
from .dicom import find_series
from .dicom.sorting import dicom_files
from .endings import image_files, is_hidden, spelled, stem_of

MASK_OF = re.compile(r"(.+)_(?:mask|label|seg|segmentation|manual|gt)(?:_\d+)?")  # stem of a label beside its image


def is_series(path: Path) -> bool:
    """Whether ``path`` is a folder that holds DICOM files, itself or below."""
    return path.is_dir() and not is_hidden(path) and bool(dicom_files(path))


def images_in(folder: Path) -> dict[str, Path]:
    """Images of a folder by their names: its files, and the DICOM series in and below it.

    A series is called like the folder in ``folder`` that holds it alone; where that holds several, as ``find_series``
    tells them apart.

    Raises:
        InputError: for two images of one name.
    """
    found = named(image_files(folder))
    series = find_series(folder)
    tops = [one.path.relative_to(folder).parts[:1] for one in series]
    for one, top in zip(series, tops):
        name = top[0] if tops.count(top) == 1 and top and (folder / top[0]).is_dir() else one.name
        if other := found.get(spelled(name)):
            raise InputError(f"{other}: {one.path} would be the same case; keep one, or rename it")
        found[spelled(name)] = one.path
    return found


def named(paths: Sequence[Path]) -> dict[str, Path]:
    """Images by their names.

    Raises:
        InputError: for two of one name, such as ``a.nii`` and ``a.NII.gz``.
    """
    found: dict[str, Path] = {}
    for path in paths:
        name = stem_of(path)
        if other := found.get(spelled(name)):
            raise InputError(f"{other}: {path.name} is the same case in another spelling; keep one")
        found[spelled(name)] = path
    return found


def masks_of(paths: Sequence[Path], images: Collection[str]) -> dict[str, tuple[Path, ...]]:
    """Labels by the name of their image: named like it, or ``name_mask``, ``name_mask_1`` and so on.

    Raises:
        InputError: for two labels named like one image, such as ``a.png`` and ``a.bmp``.
    """
    found: dict[str, list[Path]] = {}
    for path in paths:
        name = spelled(stem_of(path))
        match = MASK_OF.fullmatch(name)
        name = match[1] if name not in images and match else name
        others = found.setdefault(name, [])
        if others and not match:
            raise InputError(f"{others[0]}: {path.name} is the same label in another spelling; keep one")
        others.append(path)
    return {name: tuple(files) for name, files in found.items()}


def beside(paths: Sequence[Path]) -> tuple[dict[str, Path], dict[str, tuple[Path, ...]]]:
    """Images, and the masks that lie beside them."""
    stems = {spelled(stem_of(path)) for path in paths}

    def is_mask(path: Path) -> bool:
        match = MASK_OF.fullmatch(spelled(stem_of(path)))
        return match is not None and match[1] in stems

    own = named([path for path in paths if not is_mask(path)])
    return own, masks_of([path for path in paths if is_mask(path)], own)
