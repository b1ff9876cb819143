"""Files of a data set by the name of their case."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from .case import Case
from .endings import ENDINGS, image_files, spelled
from .lists import Lists
from .pairing import images_in, is_series, masks_of, named

LABELS = ("labels", "masks")  # folders of labels beside ``images``


def label_folder(root: Path) -> Path:
    """``labels`` below a folder, or ``masks`` where there is no such folder."""
    return root / next((name for name in LABELS if (root / name).is_dir()), LABELS[0])


class Finder:
    """Files of a data set by the name of their case; each folder is looked through once.

    Args:
        root: folder with ``images/`` and ``labels/`` or ``masks/``.
        lists: that may say where files lie.
    """

    def __init__(self, root: Path, lists: Lists | None = None) -> None:
        self.root, self.files = root, lists.files if lists else {}
        self.of_folder: dict[Path, dict[str, Path]] = {}
        self.series: dict[str, Path] | None = None
        self.masks_of_folder: dict[Path, dict[str, tuple[Path, ...]]] = {}

    def case(self, name: str, role: str = "unlisted", with_label: bool = True) -> Case:
        """The case ``name``, its files looked up.

        Raises:
            InputError: naming the file that is not there, or the two of one name.
        """
        if name in self.files:
            (image,) = self._listed(name, "image")
            return Case(name, image, self._listed(name, "label") if with_label else (), role)
        return Case(name, self.image(name), self.labels(name) if with_label else (), role)

    def image(self, name: str) -> Path:
        """The image file of a case, or the folder or first file of its DICOM series."""
        place = self.root / "images" / name
        if found := self._images(place.parent).get(spelled(place.name)):
            return found
        if self.series is None:
            self.series = images_in(self.root / "images") if (self.root / "images").is_dir() else {}
        if spelled(name) not in self.series and not is_series(place):
            raise InputError(f"{place}: no file with one of the endings {', '.join(ENDINGS)}, and no DICOM series")
        return self.series.get(spelled(name), place)

    def labels(self, name: str) -> tuple[Path, ...]:
        """The label of a case: a file of its name, or ``name_mask``, ``name_mask_1`` and so on."""
        found = self.known_labels(name)
        if not found:
            place = label_folder(self.root) / name
            raise InputError(f"{place}: no file with one of the endings {', '.join(ENDINGS)}")
        return found

    def known_labels(self, name: str) -> tuple[Path, ...]:
        """As ``labels``; empty for a case without a label."""
        place = label_folder(self.root) / name
        if place.parent not in self.masks_of_folder:
            files = image_files(place.parent) if place.parent.is_dir() else []
            images = self._images((self.root / "images" / name).parent)
            self.masks_of_folder[place.parent] = masks_of(files, images)
        return self.masks_of_folder[place.parent].get(spelled(place.name), ())

    def _images(self, folder: Path) -> dict[str, Path]:
        if folder not in self.of_folder:
            self.of_folder[folder] = named(image_files(folder)) if folder.is_dir() else {}
        return self.of_folder[folder]

    def _listed(self, name: str, key: str) -> tuple[Path, ...]:
        found = self.files[name].get(key) or [self.root]
        paths = [found] if isinstance(found, Path) else found
        if lost := next((path for path in paths if not path.is_file() and not is_series(path)), None):
            raise InputError(f"{lost}: no such file; 'files' must name the {key} of {name}")
        return tuple(paths)
