"""Opening a file with SimpleITK, whatever the case of its ending."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

import SimpleITK as sitk  # noqa: N813

from ..errors import InputError
from .endings import ending_of

HEADER = 1 << 16  # bytes among which the header's text names the files of the voxels
VOXELS = re.compile(rb"^\s*(?:ElementDataFile\s*=|data ?file\s*:)[ \t]*(.*)$", re.IGNORECASE | re.MULTILINE)


def file_reader(path: str | Path) -> sitk.ImageFileReader:
    """A reader of an image file; ITK itself knows MetaImages by endings in lower case alone.

    Raises:
        InputError: for a header that takes its voxels from files outside its folder.
    """
    if ending_of(path) in (".mha", ".mhd", ".nrrd", ".nhdr"):
        _check_voxel_files(Path(path))
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    if ending_of(path) in (".mha", ".mhd"):
        reader.SetImageIO("MetaImageIO")
    return reader


def _check_voxel_files(path: Path) -> None:
    """Raise ``InputError`` where the text of a header leads to voxels in another folder."""
    try:
        with path.open("rb") as file:
            text = file.read(HEADER)
    except OSError:
        return  # the reader says so
    if not (found := VOXELS.search(text.partition(b"\n\n")[0])):
        return
    named = found[1].strip()
    names = text[found.end() :].splitlines() if named.upper().startswith(b"LIST") else [named]
    for name in (PurePath(name.decode("utf-8", "replace").strip()) for name in names):
        if name.is_absolute() or ".." in name.parts:
            raise InputError(f"{path}: takes its voxels from {name}, outside its own folder")
