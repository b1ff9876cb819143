"""The published multi-domain 2D sets, found through ``common.datasets.layouts``: masks become class indices."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image, UnidentifiedImageError

from common.data.masks import DecodeMaskd
from common.datasets import LAYOUTS, Case
from common.datasets.endings import image_files
from common.errors import InputError, require_file
from common.groups import grouping

from ..volumes import from_array
from .conversion import Conversion, Converted, Dataset

EXPECTED = {
    "prostate": "ProstateSlice/<site>/{train,test}/{image,mask}/<case>_<slice>.png",
    "fundus": "Fundus/<domain>/{train,test}/ROIs/{image,mask}/<name>.png",
    "mnms": "mnms/<vendor>/{train,test}/{image,mask}/<name>.png",
    "busi": "Dataset_BUSI_with_GT/{benign,malignant}/<name> (n).png with _mask.png",
}
CLASSES = {"prostate": 2, "fundus": 3, "mnms": 4, "busi": 2}
ENCODING = {"busi": "binary"}
ORIGIN = {"busi": "in order of the names, the last fifth of each folder is test"}
PATIENTS = {"prostate": "{patient}_{number}"}  # M&Ms names say nothing; elsewhere one image per patient
DOMAINS = {
    "prostate": ("BIDMC", "BMC", "HK", "I2CVB", "RUNMC", "UCL"),
    "fundus": ("Domain1", "Domain2", "Domain3", "Domain4"),
    "mnms": ("vendorA", "vendorB", "vendorC", "vendorD"),
    "busi": ("benign", "malignant"),
}
DEEPEST = 3  # folders between the source and those of the domains


def finder(layout: str) -> Callable[[Path], Dataset]:
    """The function that finds the cases of one layout."""

    def find(source: Path) -> Dataset:
        if not source.is_dir():
            raise InputError(f"{source}: no such folder")
        entries = list(LAYOUTS[layout](_root(source, layout)))
        if not entries:
            raise InputError(f"{source}: expected {EXPECTED[layout]}")
        decode = DecodeMaskd("label", ENCODING.get(layout, layout)).decode
        cases, broken, patient = [], {}, grouping(PATIENTS.get(layout))
        for entry in entries:
            name = _name(layout, entry)
            files = (entry.image, *entry.labels)
            try:
                for path in files:
                    require_file(path, f"it belongs to {name}")
            except InputError as error:
                broken[name] = str(error)
                continue
            convert = partial(_picture, name, files, decode, layout == "fundus")
            cases.append(Conversion(name, files, convert, entry.role, entry.domain, patient(name)))
        origin = ORIGIN.get(layout, "folders of the source")
        there = {entry.domain for entry in entries}
        missing = [f"domain {domain}" for domain in DOMAINS[layout] if domain not in there]
        template, others = PATIENTS.get(layout), left_out(_root(source, layout), DOMAINS[layout])
        return Dataset(cases, CLASSES[layout], broken, missing, origin, template, left_out=others)

    return find


def _root(source: Path, layout: str) -> Path:
    """The folder of the domains: ``source``, or one below it that fits (archives unpack into folders of their own)."""
    level = [source]
    for _ in range(DEEPEST):
        for folder in level:
            if next(iter(LAYOUTS[layout](folder)), None) is not None:
                return folder
        level = [path for folder in level for path in sorted(folder.iterdir()) if path.is_dir()]
    return source


def left_out(root: Path, domains: Sequence[str]) -> list[str]:
    """Folders with pictures beside those of the domains, such as BUSI's normal."""
    others = [path for path in sorted(root.iterdir()) if path.is_dir() and path.name not in domains]
    counts = {path.name: len(image_files(path)) for path in others}
    return [f"{count} files of the folder {name}" for name, count in counts.items() if count]


def _name(layout: str, entry: Case) -> str:
    """``benign (12)`` in the domain benign: ``benign_12``; ``train/image/00_01`` of BIDMC: ``BIDMC_train_00_01``.

    Sets in folders train and test count their cases anew in each: 00 of one is another patient than 00 of the other.
    """
    domain = entry.domain
    words = re.sub(r"[^\w.-]+", "_", Path(entry.name).name).strip("_").removeprefix(f"{domain}_")
    return "_".join([domain, words] if layout == "busi" else [domain, entry.role, words])


def _picture(name: str, files: tuple[Path, ...], decode: Callable, color: bool) -> list[Converted]:
    try:
        with Image.open(files[0]) as file:
            values = np.asarray(file.convert("RGB" if color else "L"))
    except (UnidentifiedImageError, OSError) as error:
        raise InputError(f"{files[0]}: cannot be read ({error})") from None
    image = sitk.GetImageFromArray(values, isVector=color)
    label = decode(list(files[1:]))[0].numpy()
    if label.T.shape != values.shape[:2]:
        raise InputError(f"{files[1]}: mask of size {label.shape} for an image of size {values.shape[1::-1]}")
    return [Converted(name, image, from_array(label, like=image))]
