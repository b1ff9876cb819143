"""ACDC: ``patient001/`` with ``Info.cfg``, the cine ``_4d.nii.gz`` and the frames ED and ES with ``_gt`` labels."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from common.errors import InputError, require_choice

from ..volumes import array, on_grid, read, scaled
from .conversion import Conversion, Converted, Dataset
from .lists import by_list, published
from .pairs import found


def find(source: Path, scale: str = "minmax") -> Dataset:
    """Both labeled frames of each patient at their own spacing.

    Args:
        source: folder above the patients' folders.
        scale: ``minmax`` to 0..1 per volume, as the benchmark does, or ``none``.
    """
    require_choice(scale=(scale, ("minmax", "none")))
    cases, broken = [], {}
    for folder in (path.parent for path in found(source, "Info.cfg")):
        patient = folder.name
        labels = sorted(folder.glob(f"{patient}_frame[0-9][0-9]_gt.nii*"))
        if not labels:
            broken[patient] = f"{folder}: no label {patient}_frame<nn>_gt.nii.gz"
        for label in labels:
            name = label.name.split("_gt")[0]
            image = next(folder.glob(f"{name}.nii*"), None)
            cine = next(folder.glob(f"{patient}_4d.nii*"), None)
            if image is None and cine is None:
                broken[name] = f"{label}: neither the image {name}.nii.gz nor {patient}_4d.nii.gz beside it"
                continue
            sources = (folder / "Info.cfg", image or cine, label)
            cases.append(
                Conversion(name, sources, partial(_convert, name, *sources, scale), domain="ACDC", patient=patient)
            )
        for image in folder.glob(f"{patient}_frame[0-9][0-9].nii*"):
            if not any(label.name.startswith(image.name.split(".")[0] + "_gt") for label in labels):
                broken[image.name.split(".")[0]] = f"{image}: no label {image.name.split('.')[0]}_gt.nii.gz beside it"
    if not cases and not broken:
        raise InputError(f"{source}: no patient<nnn>/Info.cfg below; expected the unpacked training archive of ACDC")
    cases, missing = by_list(cases, published("acdc"), lambda case: case.patient)
    origin = "published (70 training, 10 validation, 20 test patients)"
    return Dataset(cases, 4, broken, missing, origin, group="{patient}_*")


def _convert(name: str, info: Path, image_path: Path, label_path: Path, scale: str) -> list[Converted]:
    image, number = read(image_path), int(name[-2:])
    if image.GetDimension() == 4:
        frames = image.GetSize()[3]
        if not 1 <= number <= frames:
            raise InputError(f"{image_path}: frame {number} asked for, the cine has {frames}")
        image = image[:, :, :, number - 1]
    label = on_grid(read(label_path), image, label_path)
    values = array(image).astype(np.float64)
    if scale == "minmax":
        if not values.max() > values.min():
            raise InputError(f"{image_path}: the image is constant")
        values = (values - values.min()) / (values.max() - values.min())
    notes = {"phase": phase} if (phase := _phase(info, number)) else {}
    return [Converted(name, scaled(image, values), sitk.Cast(label, sitk.sitkUInt8), notes=notes)]


def _phase(info: Path, frame: int) -> str | None:
    """ED or ES, from lines like ``ES: 12``."""
    found = dict(re.findall(r"^(ED|ES)\s*:\s*(\d+)", info.read_text(encoding="utf-8"), re.MULTILINE))
    return next((phase for phase, number in found.items() if int(number) == frame), None)
