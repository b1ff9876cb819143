"""DICOM as scanners and archives write it: files recognized and sorted, series checked, decoded, and answered."""

from .header import ENDINGS, is_dicom
from .pixels import read_series, read_voxels
from .sorting import Series, find_series, series_files, stack_at
from .stack import Stack

__all__ = [
    "ENDINGS",
    "Series",
    "Stack",
    "find_series",
    "is_dicom",
    "read_series",
    "read_voxels",
    "series_files",
    "stack_at",
]
