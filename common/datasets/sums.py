"""Sums of the contents of files, each file read once as long as it stays as it is."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from .dicom import is_dicom, series_files

BLOCK = 1 << 20


def sha256(path: str | Path) -> str:
    """Hexadecimal sum of a file's content."""
    state = os.stat(path)
    return _sum(os.path.realpath(path), state.st_size, state.st_mtime_ns, state.st_ino)


@lru_cache(maxsize=100_000)
def _sum(path: str, *_: int) -> str:
    total = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            total.update(block)
    return total.hexdigest()


def sum_of(paths: Sequence[str]) -> str:
    """Sum of files that belong together; a DICOM series, named by its folder or a file of it, counts with all files."""
    files = [
        file
        for path in map(Path, paths)
        for file in (series_files(path) if path.is_dir() or is_dicom(path) else [path])
    ]
    sums = [sha256(file) for file in files]
    return sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()
