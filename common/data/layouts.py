"""Where the published multi-domain 2D data sets keep images, masks and splits.

A layout is a function from the data folder to its cases, domain by domain and in order: ``{"case", "image", "label",
"domain", "split"[, "patient"]}`` with ``split`` one of train, validation and test, and ``label`` a path or, for several
masks of one image, a list. Files in folders are sorted by name as strings; lists and manifests keep their own order.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from ..errors import InputError, require_file
from .datalist import SUFFIXES, load_json, require_name

PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
SPLITS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
Case = dict[str, object]


def make_case(root: Path, image: Path, label: Path | list[Path], domain: str, split: str, **more: object) -> Case:
    """A case, named by the path of its image inside the data folder."""
    name = image.relative_to(root).as_posix()
    name = name.removesuffix(next((suffix for suffix in SUFFIXES if name.endswith(suffix)), image.suffix))
    masks = [str(path) for path in label] if isinstance(label, list) else str(label)
    return {"case": name, "image": str(image), "label": masks, "domain": domain, "split": split, **more}


def split_folders(root: Path, inner: str = "") -> Iterator[Case]:
    """``<domain>/{train,test}/[<inner>/]{image,mask}/<name>``: Prostate, M&Ms and, with ``ROIs`` inside, Fundus."""
    for domain in sorted(path for path in root.iterdir() if path.is_dir()):
        for split in ("train", "test"):
            folder = domain / split / inner
            for image in sorted(path for path in folder.glob("image/*") if path.suffix.lower() in PICTURES):
                yield make_case(root, image, folder / "mask" / image.name, domain.name, split)


def domain_lists(root: Path, splits: str = "splits.json") -> Iterator[Case]:
    """``<domain>/{images,masks}/<name>`` with ``{"train": {domain: [names]}, "val": ..., "test": ...}`` in a file."""
    path = root / splits
    content = _lists(path, "it must list the cases of each domain under 'train' ('val', 'test')")
    for key in [key for key in SPLITS if key in content]:
        if not isinstance(content[key], dict):
            raise InputError(f"{path}: key '{key}' must map each domain to a list of case names")
        for domain, names in content[key].items():
            require_name(domain, f"{path}: key '{key}'")
            for name in _names(names, f"{path}: key '{key}', {domain}"):
                image, mask = (_with_ending(root / domain / folder / name) for folder in ("images", "masks"))
                yield make_case(root, image, mask, domain, SPLITS[key])


def _lists(path: Path, purpose: str) -> dict:
    content = load_json(path, purpose)
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a mapping with the key 'train' ('val', 'test')")
    return content


def _names(names: object, where: str) -> list[str]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{where}: expected a list of case names")
    for name in names:
        require_name(name, where)
    return names


def busi(root: Path) -> Iterator[Case]:
    """BUSI as distributed: ``{benign,malignant}/<name> (n).png``, masks beside; test is the last fifth."""
    for domain in ("benign", "malignant"):
        images = sorted(path for path in (root / domain).glob("*.png") if "_mask" not in path.stem)
        train = len(images) - len(images) // 5
        for number, image in enumerate(images):
            masks = sorted(image.parent.glob(f"{image.stem}_mask*.png")) or [image.with_name(f"{image.stem}_mask.png")]
            yield make_case(root, image, masks, domain, "train" if number < train else "test")


def acdc_slices(root: Path) -> Iterator[Case]:
    """ACDC as SSL4MIS: training slices ``data/slices/<name>.h5``, whole volumes ``data/<name>.h5`` for val and test."""
    lists = {"train": "train_slices.list", "validation": "val.list", "test": "test.list"}
    for split, file in lists.items():
        folder = "data/slices" if split == "train" else "data"
        if split != "train" and not (root / file).is_file():
            continue
        for name in Path(require_file(root / file, "it must list the slices")).read_text(encoding="utf-8").split():
            path = root / folder / f"{name}.h5"
            patient = re.match(r"patient\d+", name)
            if patient is None:
                raise InputError(f"{root / file}: {name} does not begin with patient and its number")
            yield make_case(root, path, path, "ACDC", split, patient=patient.group())


PATHOLOGIES = ("DCM", "HCM", "MINF", "NOR", "RV")  # of ACDC's patients 1 to 100, twenty each


def acdc_groups(root: Path, splits: str = "splits.json") -> Iterator[Case]:
    """ACDC volumes ``{images,labels}/patient<nnn>_<frame>`` with ``splits.json``; a domain is a group of pathology."""
    path = root / splits
    content = _lists(path, "it must list the volumes under 'train' ('val', 'test')")
    for key in [key for key in SPLITS if key in content]:
        for name in _names(content[key], f"{path}: key '{key}'"):
            patient = re.match(r"patient(\d+)", name)
            if patient is None or not 1 <= int(patient[1]) <= 20 * len(PATHOLOGIES):
                raise InputError(f"{path}: {name} does not begin with patient and a number from 1 to 100")
            domain = PATHOLOGIES[(int(patient[1]) - 1) // 20]
            image, label = (_with_ending(root / folder / name) for folder in ("images", "labels"))
            yield make_case(root, image, label, domain, SPLITS[key], patient=patient[0])


def mscmr(root: Path) -> Iterator[Case]:
    """MS-CMRSeg: ``{C0,LGE}/{train,test}/<name>.nii*`` with the mask ``<name>_manual.nii*`` beside it."""
    for domain in ("C0", "LGE"):
        for split in ("train", "test"):
            for image in sorted((root / domain / split).glob("*.nii*")):
                stem, ending = image.name.split(".nii")
                if not stem.endswith("_manual"):
                    mask = image.with_name(f"{stem}_manual.nii{ending}")
                    yield make_case(root, image, mask, domain, split, patient=f"{domain}/{stem}")


def manifest(root: Path, file: str = "manifest.csv") -> Iterator[Case]:
    """A table of slices or volumes: columns path, label, domain, patient, slice, split; paths relative to the folder.

    ``patient`` and ``slice`` may be empty or missing. Slices of a patient are put in order of their number.
    """
    path = Path(require_file(root / file, "it must list path, label, domain, patient, slice, split of each image"))
    with open(path, encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    if missing := {"path", "label", "domain", "split"} - set(rows[0] if rows else ()):
        raise InputError(f"{path}: no rows or no column {', '.join(sorted(missing))}")
    first = {row.get("patient") or str(number): number for number, row in reversed(list(enumerate(rows)))}
    keyed = []
    for number, row in enumerate(rows):
        if row["split"] not in SPLITS:
            raise InputError(f"{path}: row {number + 1}: split {row['split']!r} is none of {', '.join(SPLITS)}")
        if not (row.get("slice") or "0").strip().lstrip("-").isdigit():
            raise InputError(f"{path}: row {number + 1}: slice {row['slice']!r} is no whole number")
        position = first[row.get("patient") or str(number)], int(row.get("slice") or 0)
        patient = {"patient": f"{row['domain']}/{row['patient']}"} if row.get("patient") else {}
        case = make_case(root, root / row["path"], root / row["label"], row["domain"], SPLITS[row["split"]], **patient)
        keyed.append((position, number, case))
    yield from (case for *_, case in sorted(keyed, key=lambda entry: entry[:2]))


LAYOUTS: dict[str, Callable[[Path], Iterator[Case]]] = {
    "prostate": split_folders,
    "mnms": split_folders,
    "fundus": partial(split_folders, inner="ROIs"),
    "busi": busi,
    "domain_lists": domain_lists,
    "acdc_slices": acdc_slices,
    "acdc_groups": acdc_groups,
    "mscmr": mscmr,
    "manifest": manifest,
}


def _with_ending(stem: Path) -> Path:
    """The file with one of the known endings, or the first of those names if there is none."""
    files = [stem.with_name(stem.name + suffix) for suffix in SUFFIXES]
    return next((file for file in files if file.is_file()), stem.with_name(stem.name + ".png"))
