"""The cases of a folder in any of the usual forms: with lists, without, of several domains, or as a list of files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import InputError, require_folder

ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
ROLE_OF = {
    **dict.fromkeys(("train", "training", "labeled", "unlabeled"), "train"),
    **dict.fromkeys(("val", "validation"), "validation"),
    "test": "test",
}
MASKS = ("labels", "masks")


@dataclass(frozen=True)
class Item:
    """One image, its label if there is one, and its role: train, validation, test, or unlisted.

    The name is that of the file, behind ``<domain>/`` where ``splits.json`` has lists of several domains.
    """

    name: str
    image: Path
    label: Path | None
    role: str = "unlisted"


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Attributes:
        root: the folder.
        items: the images.
        broken: name and reason of what does not fit: a label without image, a listed case without files.
        lists: content of ``splits.json``, if there is one.
    """

    root: Path
    items: list[Item]
    broken: dict[str, str] = field(default_factory=dict)
    lists: Mapping[str, object] | None = None


def list_cases(folder: str | Path, images: str = "images", labels: str | None = None) -> Listing:
    """Find the images and labels of a data set.

    Args:
        folder: holds ``images/`` and ``labels/`` (or ``masks/``), or such folders for each of several domains; or a
            JSON file with lists ``training``, ``validation``, ``test`` of ``{"image", "label"}``.
        images: name of the folder of images, or its path.
        labels: name of the folder of labels, or its path.

    Raises:
        InputError: where there is nothing like that, ``splits.json`` cannot be read, or domains without lists of their
            own share a name.
    """
    path = Path(folder)
    if path.is_file() and path.suffix == ".json":
        return _from_datalist(path)
    root = Path(require_folder(path, "it must hold the data set"))
    lists = _read_json(root / "splits.json") if (root / "splits.json").is_file() else None
    if lists is not None and "files" in lists:
        files = lists["files"].items()
        pairs = {n: (root / f["image"], root / f["label"] if "label" in f else None) for n, f in files}
        return _assemble(root, pairs, {}, lists)
    domains = [root]
    if not (root / images).is_dir():
        domains = sorted(child for child in root.iterdir() if (child / images).is_dir())
    if not domains:
        raise InputError(f"{root / images}: no such folder; it must hold the images (images)")
    pairs, broken = {}, {}
    by_domain = any(isinstance((lists or {}).get(key), Mapping) for key in ROLE_OF)
    for domain in domains:
        prefix = f"{domain.name}/" if by_domain else ""
        masks = next((domain / name for name in ([labels] if labels else MASKS) if (domain / name).is_dir()), None)
        if labels and masks is None:
            raise InputError(f"{domain / labels}: no such folder; it must hold the labels (labels)")
        found = {prefix + name: path for name, path in _files(domain / images)}
        label_of = {prefix + name: path for name, path in _files(masks)} if masks else {}
        if twice := next((name for name in found if name in pairs), None):
            raise InputError(
                f"{found[twice]}: {pairs[twice][0]} has the same name, and no splits.json lists domains apart"
            )
        pairs |= {name: (image, label_of.get(name)) for name, image in found.items()}
        broken |= {n: f"{path}: a label without its image" for n, path in label_of.items() if n not in found}
    return _assemble(root, pairs, broken, lists)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.iterdir()):
        ending = next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), None)
        if ending and path.is_file():
            yield path.name[: -len(ending)], path


def _assemble(root: Path, pairs: Mapping, broken: dict[str, str], lists: Mapping | None) -> Listing:
    role_of: dict[str, str] = {}
    for key, role in ROLE_OF.items():
        for name in _names((lists or {}).get(key, ())):
            role_of.setdefault(name, role)
            if name not in pairs:
                broken[name] = f"{root}: the list '{key}' names {name}, which has no image"
            elif pairs[name][1] is None and key in ("labeled", "val", "validation", "test"):
                broken[name] = f"{root}: the list '{key}' names {name}, which has no label"
    items = [Item(name, *files, role_of.get(name, "unlisted")) for name, files in pairs.items()]
    return Listing(root, items, broken, lists)


def _names(cases: object) -> list[str]:
    """Names of a list, or of the lists of several domains."""
    if isinstance(cases, Mapping):
        return [f"{domain}/{name}" for domain, names in cases.items() for name in names]
    return list(cases)


def _from_datalist(path: Path) -> Listing:
    content = _read_json(path)
    items, broken = [], {}
    for key, role in ROLE_OF.items():
        for entry in content.get(key, ()):
            entry = {"image": entry} if isinstance(entry, str) else entry
            if not isinstance(entry, Mapping) or not isinstance(entry.get("image"), str):
                raise InputError(f'{path}: key \'{key}\' must list files or {{"image", "label"}}')
            files = {part: path.parent / entry[part] for part in ("image", "label") if entry.get(part)}
            name = next((files["image"].name[: -len(e)] for e in ENDINGS if entry["image"].endswith(e)), entry["image"])
            if lost := next((file for file in files.values() if not file.is_file()), None):
                broken[name] = f"{lost}: no such file ({path.name}, '{key}')"
                continue
            items.append(Item(name, files["image"], files.get("label"), role))
    if not items:
        raise InputError(f"{path}: no list 'training' of images, or none of them exists")
    if len({item.name for item in items}) < len(items):
        raise InputError(f"{path}: images of equal file names; they must differ")
    return Listing(path.parent, items, broken)


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not valid JSON ({error})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected an object of lists")
    return content
