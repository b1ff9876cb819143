"""Scans, as DICOM series or volumes, and label files that belong together, by the scan's name in their paths."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from common.datasets.dicom import find_series
from common.datasets.endings import is_hidden

RESOURCES = "__MACOSX"


def found(source: Path, pattern: str) -> list[Path]:
    """Files below a folder in order, without those that macOS leaves in archives (``__MACOSX``, ``._name``)."""
    paths = source.rglob(pattern)
    return sorted(path for path in paths if not is_hidden(path) and RESOURCES not in path.parts and path.is_file())


def find_pairs(
    source: Path,
    pattern: str | re.Pattern,
    labels: Mapping[str, Path],
    volumes: Mapping[str, Sequence[Path]] = MappingProxyType({}),
) -> tuple[dict[str, tuple[Path, Path]], dict[str, str]]:
    """Series folder (or volume) and label of each scan, and the reason for each scan that has not just one of both.

    Args:
        source: folder above the series.
        pattern: regular expression of the scan's name in the path of its series.
        labels: label of each scan by name.
        volumes: files of each scan, by name, where it is no series.
    """
    series: dict[str, list[Path]] = {name: list(files) for name, files in volumes.items()}
    for scan in find_series(source):
        if match := re.search(pattern, scan.path.as_posix()):
            series.setdefault(match.group(), []).append(scan.path)
    pairs, broken = {}, {}
    for name in sorted({*series, *labels}):
        folders = series.get(name, [])
        if not folders:
            broken[name] = f"{labels[name]}: a label without its scan"
        elif name not in labels:
            broken[name] = f"{folders[0]}: a scan without its label"
        elif len(folders) > 1:
            broken[name] = f"{folders[0].parent}: {len(folders)} scans of {name}; keep one"
        else:
            pairs[name] = folders[0], labels[name]
    return pairs, broken
