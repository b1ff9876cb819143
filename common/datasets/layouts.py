"""Where the published multi-domain 2D data sets keep images, masks and splits.

A layout is a function from the data folder to its cases, domain by domain and in order, whose role is train, validation
or test. Files in folders are sorted by name as strings; lists and manifests keep their own order.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from ..errors import InputError
from ..files import read_text
from .case import Case
from .endings import image_files, stem_of
from .finder import Finder
from .lists import FILE, read_lists, require_name
from .pairing import beside

SPLITS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}


def make_case(root: Path, image: Path, labels: tuple[Path, ...], domain: str, role: str, patient: str = "") -> Case:
    """A case, named by the path of its image inside the data folder."""
    name = image.name if image.is_dir() else stem_of(image)
    return Case(image.relative_to(root).with_name(name).as_posix(), image, labels, role, domain, patient)


def split_folders(root: Path, inner: str = "") -> Iterator[Case]:
    """``<domain>/{train,test}/[<inner>/]{image,mask}/<name>``: Prostate, M&Ms and, with ``ROIs`` inside, Fundus."""
    for domain in sorted(path for path in root.iterdir() if path.is_dir()):
        for split in ("train", "test"):
            folder = domain / split / inner
            for image in image_files(folder / "image") if (folder / "image").is_dir() else ():
                yield make_case(root, image, (folder / "mask" / image.name,), domain.name, split)


def domain_lists(root: Path) -> Iterator[Case]:
    """``<domain>/{images,masks}/<name>`` with ``{"train": {domain: [names]}, "val": ..., "test": ...}`` in a file."""
    lists = read_lists(root / FILE, training=False)
    if lists.roles and not lists.by_domain:
        raise InputError(
            f"{lists.path}: key '{next(iter(lists.keys.values()))}' must map each domain to a list of names"
        )
    for role in [role for role in lists.roles if role in SPLITS]:
        for domain, names in lists.roles[role].items():
            finder = Finder(root / domain)
            for name in names:
                yield make_case(root, finder.image(name), finder.known_labels(name), domain, role)


def busi(root: Path) -> Iterator[Case]:
    """BUSI as distributed: ``{benign,malignant}/<name> (n).png``, masks beside; test is the last fifth."""
    for domain in ("benign", "malignant"):
        folder = root / domain
        images, masks = beside(image_files(folder)) if folder.is_dir() else ({}, {})
        train = len(images) - len(images) // 5
        for number, (name, image) in enumerate(images.items()):
            labels = masks.get(name, (image.with_name(f"{image.stem}_mask.png"),))
            yield make_case(root, image, labels, domain, "train" if number < train else "test")


def acdc_slices(root: Path) -> Iterator[Case]:
    """ACDC as SSL4MIS: training slices ``data/slices/<name>.h5``, whole volumes ``data/<name>.h5`` for val and test."""
    lists = {"train": "train_slices.list", "validation": "val.list", "test": "test.list"}
    for split, file in lists.items():
        folder = "data/slices" if split == "train" else "data"
        if split != "train" and not (root / file).is_file():
            continue
        for name in read_text(root / file, "it must list the slices").split():
            path = root / folder / f"{name}.h5"
            patient = re.match(r"patient\d+", name)
            if patient is None:
                raise InputError(f"{root / file}: {name} does not begin with patient and its number")
            yield make_case(root, path, (path,), "ACDC", split, patient.group())


PATHOLOGIES = ("DCM", "HCM", "MINF", "NOR", "RV")  # of ACDC's patients 1 to 100, twenty each


def acdc_groups(root: Path) -> Iterator[Case]:
    """ACDC volumes ``{images,labels}/patient<nnn>_<frame>`` with ``splits.json``; a domain is a group of pathology."""
    lists, finder = read_lists(root / FILE, training=False).require_one_domain(), Finder(root)
    for role in [role for role in lists.roles if role in SPLITS]:
        for name in lists.names(role):
            patient = re.match(r"patient(\d+)", name)
            if patient is None or not 1 <= int(patient[1]) <= 20 * len(PATHOLOGIES):
                raise InputError(f"{lists.path}: {name} does not begin with patient and a number from 1 to 100")
            domain = PATHOLOGIES[(int(patient[1]) - 1) // 20]
            yield make_case(root, finder.image(name), finder.known_labels(name), domain, role, patient[0])


def mscmr(root: Path) -> Iterator[Case]:
    """MS-CMRSeg: ``{C0,LGE}/{train,test}/<name>.nii*`` with the mask ``<name>_manual.nii*`` beside it."""
    for domain in ("C0", "LGE"):
        for split in ("train", "test"):
            for image in sorted((root / domain / split).glob("[!.]*.nii*")):
                stem, ending = image.name.split(".nii")
                if not stem.endswith("_manual"):
                    mask = image.with_name(f"{stem}_manual.nii{ending}")
                    yield make_case(root, image, (mask,), domain, split, f"{domain}/{stem}")


def manifest(root: Path, file: str = "manifest.csv") -> Iterator[Case]:
    """A table of slices or volumes: columns path, label, domain, patient, slice, split; paths relative to the folder.

    ``patient`` and ``slice`` may be empty or missing. Slices of a patient are put in order of their number.
    """
    path = root / file
    text = read_text(path, "it must list path, label, domain, patient, slice, split of each image")
    rows = list(csv.DictReader(text.splitlines()))
    if missing := {"path", "label", "domain", "split"} - set(rows[0] if rows else ()):
        raise InputError(f"{path}: no rows or no column {', '.join(sorted(missing))}")
    first = {row.get("patient") or str(number): number for number, row in reversed(list(enumerate(rows)))}
    keyed = []
    for number, row in enumerate(rows):
        require_name(row["path"] or "", f"{path}: row {number + 1}")
        if row["split"] not in SPLITS:
            raise InputError(f"{path}: row {number + 1}: split {row['split']!r} is none of {', '.join(SPLITS)}")
        if not (row.get("slice") or "0").strip().lstrip("-").isdigit():
            raise InputError(f"{path}: row {number + 1}: slice {row['slice']!r} is no whole number")
        position = first[row.get("patient") or str(number)], int(row.get("slice") or 0)
        patient = f"{row['domain']}/{row['patient']}" if row.get("patient") else ""
        labels = (root / row["label"],) if row["label"] else ()
        case = make_case(root, root / row["path"], labels, row["domain"], SPLITS[row["split"]], patient)
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
