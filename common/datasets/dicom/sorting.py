"""From a folder of files to the series in it: recognized by content, sorted, other objects set aside with a line."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from os.path import commonpath
from pathlib import Path
from typing import Any

from ...errors import InputError
from .header import DIRECTORY, ENDINGS, Header, is_dicom, read_header
from .stack import Stack, stack

SLICES = ("CT Image Storage", "MR Image Storage", "Positron Emission Tomography Image Storage")
SCREEN = "Secondary Capture Image Storage"
SHORTEST = 132  # bytes of a DICOM file
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Series:
    """Images that belong together.

    Attributes:
        path: what ``read_series`` takes: the folder that holds this series alone, or one of its files.
        name: of the case: the folders between the searched one and the images, joined by ``_``; behind it the number
            of the series, or the name of the file, where a folder holds several. Of a file in the searched folder that
            is whole in itself, its name.
        files: that hold the images.
    """

    path: Path
    name: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Content:
    """What a folder, or its own files, hold: images by series, headers of other objects, what cannot be read."""

    groups: list[list[Header]]
    aside: list[Header]
    damaged: dict[Path, str]


def find_series(root: str | Path) -> list[Series]:
    """All series and pictures in and below a folder; a line in the log for what is set aside.

    Whether the slices of a series are complete shows when it is read. A file that is damaged, in a folder without
    other images, stands as a series of its own.

    Raises:
        InputError: for slices of one series in several folders of which one holds other series too.
    """
    root = Path(root)
    content = _content(dicom_files(root))
    groups = _without_screens(content)
    for folder, reason in _reasons(content.aside):
        _say(f"{folder}: set aside: {reason}")
    used = {header.path.parent for group in groups for header in group}
    lone = list({path.parent: path for path in content.damaged if path.parent not in used}.values())
    places = {id(group): _folder(group) for group in groups}
    found = []
    for group in groups:
        inside = [other for other in groups if places[id(other)].is_relative_to(places[id(group)])]
        alone = len(inside) == 1 and not any(path.is_relative_to(places[id(group)]) for path in lone)
        folders = sorted({header.path.parent for header in group})
        if not alone and len(folders) > 1:
            raise InputError(
                f"{folders[0]} and {folders[1]}: slices of one series in folders that hold others too; put them into"
                " one folder"
            )
        beside = [other for other in groups if places[id(other)] == places[id(group)]]
        path = places[id(group)] if alone else group[0].path
        name = _name(root, places[id(group)], group, beside)
        found.append(Series(path, name, tuple(header.path for header in group)))
    found += [Series(path, "_".join([*path.relative_to(root).parts[:-1], stem(path)]), (path,)) for path in lone]
    return sorted(found, key=lambda series: series.path)


def series_at(path: Path) -> list[Header]:
    """Headers of the one series in or below a folder, or of the series in a file's folder that the file belongs to.

    Raises:
        InputError: naming file or folder, for no series, several, other objects, and damaged files beside the slices.
    """
    content = _content(dicom_files(path) if path.is_dir() else dicom_files(path.parent, below=False) or [path])
    if path.is_dir():
        groups = _without_screens(content)
    else:
        groups = [group for group in content.groups if any(header.path == path for header in group)]
        if aside := next((header.aside for header in content.aside if header.path == path), None):
            instead = "; give its folder" if aside == DIRECTORY else ""
            raise InputError(f"{path}: {aside}, no image to segment{instead}")
        if path in content.damaged:
            raise InputError(content.damaged[path])
    if len(groups) > 1:
        counts = ", ".join(str(sum(len(header.frames) for header in group)) for group in groups[:6])
        raise InputError(
            f"{path}: {len(groups)} series in one folder ({counts} images); name a file of the one that is meant"
        )
    folders = {header.path.parent for group in groups for header in group}
    for damaged, reason in content.damaged.items():
        if not groups or damaged.parent in folders and len(groups[0]) > 1:
            raise InputError(f"{reason}; remove the file if it is no slice of the series" if groups else reason)
    if not groups:
        others = "; ".join(reason for _, reason in _reasons(content.aside))
        raise InputError(f"{path}: no DICOM images" + (f" but {others}" if others else ""))
    return groups[0]


def series_files(path: Path) -> list[Path]:
    """Files that hold the images of the series at ``path`` (see ``stack_at``), sorted; all DICOM files of a folder
    whose series cannot be told, and the file itself."""
    try:
        return sorted({header.path for header in series_at(path)})
    except InputError:
        return dicom_files(path) if path.is_dir() else [path]


def stack_at(path: str | Path) -> Stack:
    """The slices of the one series at ``path``, in order and complete, without their pixels.

    Args:
        path: a folder with one series in it or below it; or a file, which stands for the series it belongs to.

    Raises:
        InputError: naming the file or folder, for no or several series, and for slices that make no volume.
    """
    found = stack(Path(path), series_at(Path(path)))
    if found.tilt:
        _say(f"{path}: gantry tilt of {found.tilt:.1f} degrees, kept in the geometry; a spacing resamples it straight")
    return found


def dicom_files(folder: Path, below: bool = True) -> list[Path]:
    """Files in (and below) a folder that are DICOM by content, or by name whatever they hold; hidden ones left out.

    Beside such files, those that may have been some belong to them too: links that lead nowhere, files without
    permission, and files without an ending that are too short to tell.
    """
    paths = [path for path in (_below(folder) if below else folder.iterdir()) if not path.name.startswith(".")]
    found = {path for path in paths if path.is_file() and (is_dicom(path) or path.suffix.lower() in ENDINGS)}
    folders = {path.parent for path in found}
    found |= {path for path in paths if path.parent in folders and _is_lost(path)}
    return sorted(found)


def _below(folder: Path) -> Iterator[Path]:
    """Files in and below a folder; links to folders are followed, into none twice, and hidden folders left out."""
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in names)


def _is_lost(path: Path) -> bool:
    if not path.is_file():
        return path.is_symlink() and not path.exists()
    return not os.access(path, os.R_OK) or (not path.suffix and path.stat().st_size < SHORTEST)


def stem(path: Path) -> str:
    """Name of a DICOM file without its ending; the numbers of a unique identifier are none."""
    return path.stem if path.suffix.lower() in ENDINGS else path.name


def _content(files: Iterable[Path]) -> Content:
    """Read the headers of ``files`` and sort them."""
    groups: dict[tuple, list[Header]] = {}
    content = Content([], [], {})
    for path in files:
        try:
            header = read_header(path)
        except InputError as error:
            content.damaged[path] = str(error)
            continue
        if header.aside:
            content.aside.append(header)
        else:
            groups.setdefault(_key(header), []).append(header)
    content.groups.extend(_joined(groups))
    return content


def _key(header: Header) -> tuple:
    """Equal for images of one series; folders are told apart, and images that are whole in themselves."""
    placed = header.frames[0].position is not None
    whole = len(header.frames) > 1 if placed else len(header.frames) == 1 and header.kind not in SLICES
    return (header.series, header.path.parent, header.path if whole else None)


def _joined(groups: dict[tuple, list[Header]]) -> list[list[Header]]:
    """Parts of one series in several folders become one where together they are one volume."""
    parts: dict[Any, list[list[Header]]] = {}
    for (series, folder, whole), group in groups.items():
        parts.setdefault(series if series and whole is None else (folder, whole), []).append(group)
    result = []
    for several in parts.values():
        together = [header for group in several for header in group]
        if len(several) > 1 and not _is_volume(together):
            folders = ", ".join(str(group[0].path.parent) for group in several[:3])
            _say(f"{folders}: one series identifier; taken for {len(several)} volumes")
            result += several
        else:
            result.append(together)
    return result


def _is_volume(headers: Sequence[Header]) -> bool:
    try:
        stack(headers[0].path.parent, headers)
    except InputError:
        return False
    return True


def _without_screens(content: Content) -> list[list[Header]]:
    """Series to segment: beside volumes, pictures of a screen (dose reports and the like) are set aside."""
    images = [sum(len(header.frames) for header in group) for group in content.groups]
    kept = []
    for count, group in zip(images, content.groups):
        if count == 1 and max(images) > 1 and group[0].kind == SCREEN:
            content.aside.extend(group)
        else:
            kept.append(group)
    return kept


def _reasons(aside: Sequence[Header]) -> list[tuple[Path, str]]:
    """Folder and reason, with a count, of what is set aside; the directory of a medium goes without saying."""
    counts = Counter((h.path.parent, h.aside or "picture of a screen") for h in aside if h.aside != DIRECTORY)
    return [(folder, f"{count} x {reason}") for (folder, reason), count in sorted(counts.items())]


def _folder(group: Sequence[Header]) -> Path:
    return Path(commonpath([header.path.parent for header in group]))


def _name(root: Path, folder: Path, group: Sequence[Header], beside: Sequence[Sequence[Header]]) -> str:
    if folder == root and len(group) == 1:
        return stem(group[0].path)
    name = "_".join(folder.relative_to(root).parts) or root.absolute().name
    if len(beside) == 1:
        return name
    numbers = [other[0].number for other in beside]
    if group[0].number is not None and numbers.count(group[0].number) == 1:
        return f"{name}_{group[0].number}"
    return f"{name}_{stem(group[0].path)}"


@cache
def _say(line: str) -> None:
    """A line in the log, once in a process, however often the series is read."""
    logger.warning(line)
