"""Which files are images: the one table of endings, and the files of a folder by name."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from pathlib import Path, PurePath

VOLUMES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
ENDINGS = VOLUMES + PICTURES  # in any case of letters; a folder with a DICOM series is an image as well


def ending_of(path: str | PurePath) -> str:
    """The known ending of a file's name, in lower case; empty for any other file."""
    name = PurePath(path).name.lower()
    return next((ending for ending in ENDINGS if name.endswith(ending) and name != ending), "")


def stem_of(path: str | PurePath) -> str:
    """Name of a file without its known ending; another file's name without its last suffix."""
    path = PurePath(path)
    ending = ending_of(path)
    return path.name[: -len(ending)] if ending else path.stem


def is_hidden(path: PurePath) -> bool:
    """Whether a name begins with a dot, as the ``._name`` do that macOS leaves beside files."""
    return path.name.startswith(".")


def image_files(folder: Path) -> list[Path]:
    """Files of a folder, not below it, with a known ending, sorted by name; hidden ones are left out."""
    return sorted(path for path in folder.iterdir() if ending_of(path) and not is_hidden(path) and path.is_file())


def other_files(folder: Path, names: Collection[str]) -> list[Path]:
    """What lies in a folder and is no folder, hidden or among ``image_files``, nor called like one of ``names``."""
    known = {*image_files(folder)}
    rest = [path for path in folder.iterdir() if path not in known and not path.is_dir() and not is_hidden(path)]
    return sorted(path for path in rest if ending_of(path) or path.name.partition(".")[0] not in names)


def spelled(name: str) -> str:
    """One spelling of a name whose accents are stored composed or apart, as file systems do."""
    return unicodedata.normalize("NFC", name)
