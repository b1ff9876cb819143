"""DICOM series and label files that belong together, by the scan's name in their paths."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from common.datasets.dicom import find_series


def find_pairs(
    source: Path, pattern: str | re.Pattern, labels: Mapping[str, Path]
) -> tuple[dict[str, tuple[Path, Path]], dict[str, str]]:
    """Series folder and label of each scan, and the reason for each scan that has not just one of both.

    Args:
        source: folder above the series.
        pattern: regular expression of the scan's name in the path of its series.
        labels: label of each scan by name.
    """
    series: dict[str, list[Path]] = {}
    for found in find_series(source):
        if match := re.search(pattern, found.path.as_posix()):
            series.setdefault(match.group(), []).append(found.path)
    pairs, broken = {}, {}
    for name in sorted({*series, *labels}):
        folders = series.get(name, [])
        if not folders:
            broken[name] = f"{labels[name]}: a label without its series"
        elif name not in labels:
            broken[name] = f"{folders[0]}: a series without its label"
        elif len(folders) > 1:
            broken[name] = f"{folders[0].parent}: {len(folders)} series of {name}; keep one"
        else:
            pairs[name] = folders[0], labels[name]
    return pairs, broken
