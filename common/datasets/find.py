"""Find the cases of a folder in any of the usual forms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from ..errors import InputError, require_folder
from .case import Case
from .dicom import is_dicom
from .endings import ending_of, image_files, is_hidden, other_files, stem_of
from .finder import Finder, label_folder
from .lists import FILE, Lists, read_lists
from .pairing import beside, images_in, masks_of

LOST = "no file that can be read (a link to nothing?)"


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Attributes:
        root: the folder.
        cases: its cases; their role is ``train`` for those of any training list.
        broken: name and reason of what does not fit: a label without image, a listed case without files.
        lists: of ``splits.json``, if there is one.
        ignored: files among the images and labels that are neither by their endings.
    """

    root: Path
    cases: list[Case]
    broken: dict[str, str] = field(default_factory=dict)
    lists: Lists | None = None
    ignored: list[Path] = field(default_factory=list)


def find_cases(folder: str | Path, images: str = "images", labels: str | None = None) -> Listing:
    """Find the images and labels of a data set.

    Args:
        folder: holds ``images/`` and ``labels/`` (or ``masks/``), or such folders for each of several domains, or
            images with their masks beside them (``name_mask.png``, ``name_mask_1.png``), in one folder or one for each
            domain; or a JSON file with lists ``training``, ``validation``, ``test`` of ``{"image", "label"}``.
        images: name of the folder of images, or its path.
        labels: name of the folder of labels, or its path.

    Raises:
        InputError: where there is nothing like that, ``splits.json`` cannot be read, or domains without lists of their
            own share a name.
    """
    path = Path(folder)
    if path.is_file() and path.suffix.lower() == ".json":
        listing = _listed(path.parent, read_lists(path, training=False, of_files=True))
        return replace(listing, lists=None)
    root = Path(require_folder(path, "it must hold the data set"))
    lists = read_lists(root / FILE, training=False) if (root / FILE).is_file() else None
    if lists is not None and lists.files:
        return _listed(root, lists)
    found: dict[str, tuple[Path, tuple[Path, ...]]] = {}
    broken: dict[str, str] = {}
    ignored: list[Path] = []
    for domain in _domains(root, images):
        prefix = f"{domain.name}/" if lists is not None and lists.by_domain else ""
        pairs, orphans = _pairs(domain, images, labels)
        if twice := next((name for name in pairs if prefix + name in found), None):
            other = found[prefix + twice][0]
            raise InputError(f"{pairs[twice][0]}: {other} has the same name, and no {FILE} lists domains apart")
        found |= {prefix + name: files for name, files in pairs.items()}
        broken |= {prefix + name: reason for name, reason in orphans.items()}
        for folder in (domain / images, domain / labels if labels else label_folder(domain)):
            others = other_files(folder, set(pairs)) if folder.is_dir() else []
            broken |= {prefix + stem_of(path): f"{path}: {LOST}" for path in others if ending_of(path)}
            ignored += [path for path in others if not ending_of(path) and not is_dicom(path)]
    return replace(_assemble(root, found, broken, lists), ignored=ignored)


def _domains(root: Path, images: str) -> list[Path]:
    """The folders that hold images: ``root`` itself, or folders in it."""
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not is_hidden(path))
    if (root / images).is_dir():
        return [root]
    if found := [folder for folder in folders if (folder / images).is_dir()]:
        return found
    if found := [folder for folder in (root, *folders) if beside(image_files(folder))[1]]:
        return found
    raise InputError(f"{root / images}: no such folder; it must hold the images (images)")


def _pairs(domain: Path, images: str, labels: str | None) -> tuple[dict[str, tuple], dict[str, str]]:
    """Image and labels of each name, and the labels without an image."""
    if not (domain / images).is_dir():
        own, masks = beside(image_files(domain))
        return {name: (path, masks.get(name, ())) for name, path in own.items()}, {}
    folder = domain / images
    own = images_in(folder)
    place = domain / labels if labels else label_folder(domain)
    if labels and not place.is_dir():
        raise InputError(f"{place}: no such folder; it must hold the labels (labels)")
    masks = masks_of(image_files(place), own) if place.is_dir() else {}
    orphans = {name: f"{paths[0]}: a label without its image" for name, paths in masks.items() if name not in own}
    return {name: (path, masks.get(name, ())) for name, path in own.items()}, orphans


def _listed(root: Path, lists: Lists) -> Listing:
    """Cases whose files the lists name."""
    finder, found, broken = Finder(root, lists), {}, {}
    names = chain.from_iterable(lists.names(role) for role in lists.roles)
    for name in dict.fromkeys([*names, *lists.files]):
        try:
            case = finder.case(name, "", with_label="label" in lists.files.get(name, ()))
        except InputError as error:
            broken[name] = str(error)
        else:
            found[name] = (case.image, case.labels)
    if not found:
        raise InputError(f"{lists.path}: no list of images, or none of them exists")
    return _assemble(root, found, broken, lists)


def _assemble(root: Path, found: Mapping[str, tuple], broken: dict[str, str], lists: Lists | None) -> Listing:
    role_of: dict[str, str] = {}
    for role, key in lists.keys.items() if lists else ():
        for name in lists.names(role):
            role_of.setdefault(name, "train" if role in ("labeled", "unlabeled") else role)
            if name not in found:
                broken.setdefault(name, f"{root}: the list '{key}' names {name}, which has no image")
            elif not found[name][1] and role not in ("unlabeled", "train"):
                broken[name] = f"{root}: the list '{key}' names {name}, which has no label"
    cases = [Case(name, image, labels, role_of.get(name, "unlisted")) for name, (image, labels) in found.items()]
    return Listing(root, cases, broken, lists)
