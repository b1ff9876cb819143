"""Opening a file with SimpleITK, whatever the case of its ending."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk  # noqa: N813

from .endings import ending_of


def file_reader(path: str | Path) -> sitk.ImageFileReader:
    """A reader of an image file; ITK itself knows MetaImages by endings in lower case alone."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    if ending_of(path) in (".mha", ".mhd"):
        reader.SetImageIO("MetaImageIO")
    return reader
