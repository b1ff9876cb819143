"""The one reader of lists of cases: ``splits.json`` in its forms, and JSON lists of files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from ..errors import InputError
from ..files import read_json
from ..groups import grouping, with_known
from .endings import ending_of, spelled, stem_of

FILE = "splits.json"
ROLE_OF = {
    "labeled": "labeled",
    "unlabeled": "unlabeled",
    "train": "train",
    "training": "train",
    "val": "validation",
    "validation": "validation",
    "test": "test",
}
KNOWN = {*ROLE_OF, "unlisted", "untouched", "copies"}  # the others are not trained on: see tools draw
LONGEST_NAME = 240  # bytes of a file's name without its ending


@dataclass(frozen=True)
class Lists:
    """Content of a file of lists.

    Attributes:
        path: of the file.
        roles: for each role of ``ROLE_OF`` that the file has, the names of each domain; the domain of lists without
            domains is the empty name.
        keys: how the file calls each role.
        files: of cases whose files it names: ``{"image": path[, "label": [paths]]}``, absolute or below its folder.
        group: template of names that tells which patient a case belongs to, where the file has one.
        patients: of cases whose names do not tell it, such as images found alike.
        origin: how the lists came about, where the file says so.
    """

    path: Path
    roles: Mapping[str, Mapping[str, list[str]]]
    keys: Mapping[str, str]
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    group: str | None = None
    origin: str | None = None
    patients: Mapping[str, str] = field(default_factory=dict)

    @property
    def by_domain(self) -> bool:
        """Whether the lists are those of several domains."""
        return any(domain for lists in self.roles.values() for domain in lists)

    def names(self, role: str) -> list[str]:
        """The names of a role, behind ``<domain>/`` where there are domains; none where the file has no such list."""
        lists = self.roles.get(role, {})
        return [f"{domain}/{name}" if domain else name for domain, names in lists.items() for name in names]

    def patient(self, group: str | None) -> Callable[[str], str]:
        """Function from a case's name to its patient: the one in ``patients``, else by the template ``group``."""
        return with_known(grouping(group), self.patients)

    def require_one_domain(self) -> Lists:
        """These lists, or an ``InputError`` where they are those of several domains."""
        if self.by_domain:
            key = next(self.keys[role] for role, lists in self.roles.items() if any(lists))
            raise InputError(f"{self.path}: key '{key}' must be a list of case names; it holds lists of domains")
        return self


def read_lists(path: Path, training: bool = True, of_files: bool = False) -> Lists:
    """Read and check a file of lists.

    Each list holds names of cases, with or without the ending of their files, or ``{"image", "label"}`` of files; or
    it maps domains to such lists. ``training`` asks for a list ``labeled`` or ``train``; ``of_files`` takes names with
    an ending for files beside or below the list.

    Raises:
        InputError: naming file and key, for a missing file, malformed lists, names that lead out of the folder, and a
            case that is in one list twice, however it is spelled.
    """
    content = read_json(path, f"it must list the cases ('labeled' or 'train', ...){how_to_get_lists(path.parent)}")
    wanted = ("labeled", "train", "training") if training else tuple(ROLE_OF)
    if not isinstance(content, Mapping) or not any(key in content for key in wanted):
        more = "" if training else ", 'validation' or 'test'"
        raise InputError(f"{path}: expected a list 'labeled' or 'train'{more}")
    for key in (key for key, value in content.items() if isinstance(value, list) and key not in KNOWN):
        logging.getLogger(__name__).warning(f"{path}: the list '{key}' is none of {', '.join(ROLE_OF)}: not used")
    files = _files(content.get("files", {}), path)
    roles: dict[str, dict[str, list[str]]] = {}
    keys: dict[str, str] = {}
    for key in [key for key in ROLE_OF if key in content]:
        role, listed = ROLE_OF[key], content[key]
        if role in keys:
            raise InputError(f"{path}: keys '{keys[role]}' and '{key}' are the same list")
        keys[role], where = key, f"{path}: key '{key}'"
        roles[role] = {}
        for domain, cases in listed.items() if isinstance(listed, Mapping) else (("", listed),):
            if isinstance(listed, Mapping):
                require_name(domain, where)
            what = f"{where}, {domain}: expected" if domain else f"{where} must be"
            inside = f"{where}, {domain}" if domain else where
            roles[role][domain] = _names(cases, inside, what, path.parent, files, of_files)
    patients = _patients(content.get("patients", {}), path)
    return Lists(path, roles, keys, files, _text(content, "group", path), _text(content, "origin", path), patients)


def _names(cases: Any, where: str, what: str, folder: Path, files: dict, of_files: bool) -> list[str]:
    """Names of one list; files that it names go to ``files``."""
    if not isinstance(cases, list) or not all(isinstance(case, (str, Mapping)) for case in cases):
        raise InputError(f"{what} a list of case names")
    names = []
    for case in cases:
        case = {"image": case} if of_files and isinstance(case, str) and ending_of(case) else case
        if isinstance(case, Mapping):
            entry = _entry(case, f'{where} must list files or {{"image", "label"}}', folder)
            name = stem_of(str(case["image"]).rstrip("/\\"))
            if files.setdefault(name, entry) != entry:
                raise InputError(f"{where}: images of equal file names, {name}; they must differ")
        else:
            name = case[: -len(ending_of(case))] if ending_of(case) else case
            require_name(name, where)
        names.append(name)
    if len(set(map(spelled, names))) != len(names):
        seen = list(map(spelled, names))
        repeated = next(name for place, name in enumerate(names) if seen[place] in seen[:place])
        raise InputError(f"{where} names the case {repeated} twice")
    return names


def _files(table: Any, path: Path) -> dict[str, dict]:
    what = f"{path}: key 'files' must map each case to its image and label"
    if not isinstance(table, Mapping):
        raise InputError(what)
    return {name: _entry(entry, what, path.parent) for name, entry in table.items()}


def _patients(table: Any, path: Path) -> dict[str, str]:
    if not isinstance(table, Mapping) or not all(isinstance(owner, str) and owner for owner in table.values()):
        raise InputError(f"{path}: key 'patients' must map names of cases to the names of their patients")
    return {name[: -len(ending_of(name))] if ending_of(name) else name: owner for name, owner in table.items()}


def _entry(entry: Any, what: str, folder: Path) -> dict[str, Any]:
    """Paths of a case: of its image, and a list of those of its label."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("image"), str) or not entry["image"]:
        raise InputError(what)
    found: dict[str, Any] = {"image": folder / entry["image"]}
    if label := entry.get("label"):
        masks = [label] if isinstance(label, str) else label
        if not isinstance(masks, list) or not all(isinstance(mask, str) and mask for mask in masks):
            raise InputError(what)
        found["label"] = [folder / mask for mask in masks]
    return found


def _text(content: Mapping, key: str, path: Path) -> str | None:
    value = content.get(key)
    if value is not None and not isinstance(value, str):
        raise InputError(f"{path}: key '{key}' must be text")
    return value


def how_to_get_lists(folder: Path) -> str:
    """What to do about a folder without lists, as the end of a sentence."""
    return f"; python -m tools plan {folder} draws them" if folder.is_dir() else ""


def require_name(case: str, where: str) -> None:
    """Raise ``InputError`` unless ``case`` can name files below a folder: no absolute path, none that leads out."""
    parts = PurePath(case).parts
    if not parts or PurePath(case).is_absolute() or ".." in parts or not case.isprintable():
        raise InputError(f"{where}: {case!r} is no name of a case: expected a path inside the folder of the images")
    if any(len(part.encode()) > LONGEST_NAME for part in parts):
        raise InputError(f"{where}: {case[:40]}... is too long for the name of a file")
