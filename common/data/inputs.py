"""What there is to segment: files, folders of files, DICOM series."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from torch.utils.data import IterableDataset

from ..datasets.dicom import find_series
from ..errors import InputError, printable
from .cache import CheckedDataset, check_case
from .datalist import SUFFIXES

NAMED, LONGEST = 5, 300  # cases in the summary, characters of the reason of each


def find_images(source: str | Path | Sequence[str]) -> list[dict[str, str]]:
    """Images to segment, ``[{"image": path, "case": name}]``.

    A source is an image file, a folder with the files of one DICOM series, a folder of either, or a list of these.
    The case names what is written: the file without its ending, or the series' folder.

    Raises:
        InputError: for a path that does not exist, a folder without images, and two images of one name.
    """
    paths = [Path(source)] if isinstance(source, (str, Path)) else [Path(path) for path in source]
    found = {}
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such image or folder (inputs)")
        for name, image in _images_of(path):
            if found.setdefault(name, image) != image:
                raise InputError(f"{image} and {found[name]}: both results would be named {name} (inputs)")
    if not found:
        raise InputError(
            f"{source}: no DICOM series and no image with one of the endings {', '.join(SUFFIXES)} (inputs)"
        )
    return [{"image": str(image), "case": name} for name, image in found.items()]


def _images_of(path: Path) -> Iterator[tuple[str, Path]]:
    if path.is_file():
        yield _stem(path), path
        return
    for file in sorted(file for file in path.iterdir() if file.name.endswith(SUFFIXES) and file.is_file()):
        yield _stem(file), file
    for series in find_series(path):
        yield series.name, series.path


def _stem(path: Path) -> str:
    ending = next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), path.suffix)
    return path.name.removesuffix(ending)


class ReadableCases(IterableDataset):
    """Decode cases one after the other; one that cannot be used is reported on the way and left out.

    Args:
        data: one dictionary per case, with the path ``image``.
        transform: deterministic chain from paths to channel-first tensors.
        channels: that every image must have; ``None``: any number.

    Raises:
        InputError: at the end of an iteration that met no usable case.
    """

    def __init__(self, data: Sequence[Mapping], transform: Callable | None = None, channels: int | None = None) -> None:
        self.data, self.transform, self.channels = list(data), transform, channels
        self.problems: list[str] = []
        self.logger = logging.getLogger(type(self).__name__)

    def __iter__(self) -> Iterator[dict]:
        self.problems.clear()
        decoded = CheckedDataset(self.data, self.transform)
        for index, files in enumerate(self.data):
            try:
                case = decoded[index]
                check_case(case, {"image": files["image"]}, classes=1, channels=self.channels)
            except InputError as error:
                self.report(str(error))
            else:
                yield case
        if len(self.problems) == len(self.data):
            self.require_all()

    def report(self, reason: str) -> None:
        """Log why a case has no result; ``require_all`` will tell it again."""
        self.problems.append(printable(reason))
        self.logger.error(self.problems[-1])

    def require_all(self) -> None:
        """Raise ``InputError`` naming the cases that the last iteration left out, if there are any."""
        if not self.problems:
            return
        shown = "; ".join(problem[:LONGEST] for problem in self.problems[:NAMED])
        more = f"; and {len(self.problems) - NAMED} more, see above" if len(self.problems) > NAMED else ""
        raise InputError(f"{len(self.problems)} of {len(self.data)} images could not be used: {shown}{more}")
