"""M&Ms: the challenge's open data, ``{Training/Labeled,Validation,Testing}/<code>/<code>_sa.nii.gz`` with a table.

Pictures of single slices, as ``pictures`` knows them, are another form of the same data.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from common.errors import InputError

from ..volumes import array, on_grid, read
from . import pictures
from .conversion import Conversion, Converted, Dataset
from .pairs import found

CODE, VENDOR, PHASES = "External code", "Vendor", ("ED", "ES")
FOLDERS = {"Training": "train", "Validation": "validation", "Testing": "test"}
GROUP = "{patient}_*"


def find(source: Path) -> Dataset:
    """Both labeled frames of each patient, 1 left ventricle, 2 myocardium, 3 right ventricle; domains are the vendors.

    The challenge's unlabeled patients are left out: publications count 95, 125, 50 and 50 of vendors A to D.

    Args:
        source: folder above the table and the patients' folders; or above ``<vendor>/{train,test}/{image,mask}``.
    """
    cines = found(source, "*_sa.nii*")
    if not cines:
        return pictures.finder("mnms")(source)
    table = _table(source)
    cases, broken, unlabeled = [], {}, 0
    for cine in cines:
        name = cine.name.split("_sa.nii")[0]
        label = cine.with_name(cine.name.replace("_sa.nii", "_sa_gt.nii"))
        if not label.is_file():
            unlabeled += 1
        elif name not in table:
            broken[name] = f"{cine}: the table has no row of {name}"
        else:
            row = table[name]
            convert = partial(_convert, name, cine, label, row)
            cases.append(Conversion(name, (cine, label), convert, _split(cine, source), row[VENDOR], name))
    if not cases and not broken:
        raise InputError(f"{source}: {unlabeled} patients, none with labels (<code>_sa_gt.nii.gz)")
    origin = f"folders of the source; {unlabeled} patients without labels are left out"
    return Dataset(sorted(cases, key=lambda case: case.name), 4, broken, (), origin, group=GROUP)


def _table(source: Path) -> Mapping[str, Mapping[str, str]]:
    """Rows of the challenge's table by the patient's code."""
    tables = found(source, "*.csv")
    for path in tables:
        try:
            with open(path, encoding="utf-8-sig", newline="") as file:
                rows = list(csv.DictReader(file))
        except UnicodeDecodeError:
            continue
        if rows and {CODE, VENDOR, *PHASES} <= set(rows[0]):
            return {row[CODE]: row for row in rows}
    raise InputError(
        f"{source}: no table with the columns {CODE}, {VENDOR}, ED and ES below ({len(tables)} .csv files); expected "
        "the challenge's ..._Dataset_information_diagnosis_opendataset.csv"
    )


def _split(path: Path, source: Path) -> str:
    parts = path.relative_to(source.parent).parts
    return next((split for folder, split in FOLDERS.items() if folder in parts), "train")


def _convert(name: str, cine: Path, label_path: Path, row: Mapping[str, str]) -> list[Converted]:
    image, label = read(cine), read(label_path)
    if image.GetDimension() != 4 or label.GetSize() != image.GetSize():
        raise InputError(f"{label_path}: extents {label.GetSize()} for a cine of {image.GetSize()}; expected equal 4D")
    result = []
    for phase in PHASES:
        number = _frame(row, phase, image.GetSize()[3], name)
        frame, mask = image[:, :, :, number], on_grid(label[:, :, :, number], image[:, :, :, number], label_path)
        if not (array(mask) > 0).any():
            raise InputError(f"{label_path}: the label is empty in frame {number}, which the table calls {phase}")
        notes = {"phase": phase, "frame": number}
        result.append(Converted(f"{name}_{phase}", frame, sitk.Cast(mask, sitk.sitkUInt8), notes=notes))
    return result


def _frame(row: Mapping[str, str], phase: str, frames: int, name: str) -> int:
    try:
        number = int(np.float64(row[phase]))
    except ValueError:
        number = -1
    if not 0 <= number < frames:
        raise InputError(f"table: {phase} of {name} is {row[phase]!r}; expected a frame from 0 to {frames - 1}")
    return number
