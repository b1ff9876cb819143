"""NCI-ISBI 2013: DICOM series of two sites and NRRD labels (peripheral zone and central gland, merged here)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from skimage.transform import resize

from common.datasets.dicom import read_series
from common.errors import InputError, require_choice

from ..volumes import array, binary, on_grid, read
from .conversion import Conversion, Converted, Dataset
from .pairs import find_pairs, found

PATIENT = re.compile(r"(Prostate3T|ProstateDx)-\d+-\d+")
TRAINING = "01"  # middle number of the challenge's 30 training patients per site; 02 leaderboard and 03 test, 5 each
SITES = {"Prostate3T": "runmc", "ProstateDx": "bmc"}  # 3 T Siemens without, 1.5 T Philips with endorectal coil
NAMES = {"slices": "{patient}_{number}", "volumes": None}  # templates that tell patients
SIZE = 256  # of a slice
TRAIN, VALIDATION = 0.7, 0.3  # share of the patients, and of the rest


def find(source: Path, form: str = "slices") -> Dataset:
    """Slices with prostate as 8-bit images, or whole volumes, of both sites.

    The patients of the challenge's leaderboard and test are converted, and in no list: publications count 30 per site.

    Args:
        source: folder above the series and the labels.
        form: ``slices``, 256 x 256, from the first to the last but one that shows prostate; or ``volumes``, unscaled.
    """
    require_choice(form=(form, ("slices", "volumes")))
    labels = {match.group(): path for path in found(source, "*.nrrd") if (match := PATIENT.match(path.name))}
    pairs, broken = find_pairs(source, PATIENT, labels)
    cases = [
        Conversion(name, files, partial(_convert, name, *files, form), domain=SITES[name.split("-")[0]], patient=name)
        for name, files in pairs.items()
    ]
    if not cases and not broken:
        raise InputError(f"{source}: no series and labels named Prostate3T-01-0001 or ProstateDx-01-0001 below")
    origin = "by site, in order of the names: 70 % training, of the rest 30 % validation, the others test"
    return Dataset(split_sites(cases), 2, broken, (), origin, group=NAMES[form])


def split_sites(cases: Sequence[Conversion]) -> list[Conversion]:
    """Each site's first ``int(0.7 N)`` training patients train, ``int(0.3 rest)`` validate, the others of them test."""
    others = [case for case in cases if case.patient.split("-")[1] != TRAINING]
    cases = [case for case in cases if case.patient.split("-")[1] == TRAINING]
    result = []
    for site in dict.fromkeys(case.domain for case in cases):
        patients = list(dict.fromkeys(case.patient for case in cases if case.domain == site))
        train = int(TRAIN * len(patients))
        validation = train + int(VALIDATION * (len(patients) - train))
        for case in (case for case in cases if case.domain == site):
            number = patients.index(case.patient)
            split = "train" if number < train else "validation" if number < validation else "test"
            result.append(replace(case, split=split))
    return [*result, *others]


def _convert(name: str, folder: Path, label_path: Path, form: str) -> list[Converted]:
    image = read_series(folder)
    label = on_grid(read(label_path), image, label_path)
    mask = array(label) > 0
    shown = np.flatnonzero(mask.any(axis=(0, 1)))
    if not len(shown):
        raise InputError(f"{label_path}: the label is empty")
    if form == "volumes":
        return [Converted(name, image, binary(image, mask))]
    low, high = np.percentile(array(image), (0.5, 99.5))
    if not high > low:
        raise InputError(f"{folder}: the series has no contrast")
    scale = 255 * ((array(image).astype(np.float64) - low) / (high - low)).clip(0, 1)
    spacing = [s * n / SIZE for s, n in zip(image.GetSpacing()[:2], image.GetSize()[:2])]
    return [
        _slice(f"{name}_{z:02d}", scale[..., z], mask[..., z], z, spacing)
        for z in range(shown[0], shown[-1])
        if mask[..., z].any()
    ]


def _slice(name: str, values: np.ndarray, mask: np.ndarray, z: int, spacing: Sequence[float]) -> Converted:
    """One slice resized to ``SIZE``: cubic for the image, nearest for the label."""
    picture = resize(values, (SIZE, SIZE), order=3, mode="edge", anti_aliasing=False, preserve_range=True)
    label = resize(mask, (SIZE, SIZE), order=0, mode="edge", anti_aliasing=False, preserve_range=True)
    pair = [sitk.GetImageFromArray(part.round().clip(0, 255).astype(np.uint8).T) for part in (picture, label)]
    for image in pair:
        image.SetSpacing(spacing)
    return Converted(name, pair[0], pair[1], slice=int(z))
