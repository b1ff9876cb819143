"""MS-CMRSeg 2019: ``patient<n>_{C0,LGE}.nii.gz`` and ``..._manual.nii.gz``, wherever the archives put them.

Images and masks in folders ``{C0,LGE}/{train,test}``, as SynFoC's published code reads them, keep these splits.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from common.data.masks import ENCODINGS
from common.errors import InputError

from ..volumes import array, from_array, on_grid, read
from .conversion import Conversion, Converted, Dataset
from .pairs import found

PATIENT = re.compile(r"patient(\d+)")
LAST = 35  # the first patients are the challenge's training with C0's labels; the others are test
SEQUENCES, SPLITS, MASK = ("C0", "LGE"), ("train", "test"), "_manual"
Key = tuple[str, str]  # patient and sequence
ORIGIN = "patients 1 to 35 are training, 36 to 45 test, in both sequences"


def find(source: Path) -> Dataset:
    """Volumes of two sequences, the domains; 1 myocardium, 2 left ventricle, 3 right ventricle.

    A patient is on the same side in both sequences. Training volumes without a mask are unlabeled. T2 is left out.

    Args:
        source: folder above the archives' folders.
    """
    images, masks = _files(source)
    if not images:
        raise InputError(f"{source}: no patient<n>_C0.nii.gz, patient<n>_LGE.nii.gz or {{C0,LGE}}/{{train,test}} below")
    cases, broken = [], {}
    for key in sorted({*images, *masks}, key=_order):
        patient, sequence = key
        name, split = f"{patient}_{sequence}", _split(patient, images.get(key))
        if key not in images:
            broken[name] = f"{masks[key]}: a mask without its image"
        elif split is None:
            broken[name] = f"{images[key]}: neither patient<n> nor in a folder train or test"
        elif key not in masks and split == "test":
            broken[name] = f"{images[key]}: no mask {name}_manual.nii.gz; the test patients' are an archive apart"
        else:
            files = (images[key], *((masks[key],) if key in masks else ()))
            cases.append(Conversion(name, files, partial(_convert, name, files), split, sequence, patient))
    sorted_out = all(path.parent.name in SPLITS for path in images.values())
    group = None if any("_" in case.patient for case in cases) else "{patient}_*"
    return Dataset(cases, 4, broken, (), "folders of the source" if sorted_out else ORIGIN, group)


def _files(source: Path) -> tuple[dict[Key, Path], dict[Key, Path]]:
    """Image and mask of each patient and sequence."""
    images: dict[Key, Path] = {}
    masks: dict[Key, Path] = {}
    for path in found(source, "*.nii*"):
        stem = path.name.split(".nii")[0]
        kind, stem = (masks if stem.endswith(MASK) else images), stem.removesuffix(MASK)
        above = path.parent.parent.name if path.parent.name in SPLITS else ""
        if (sequence := next((s for s in SEQUENCES if stem.endswith(f"_{s}") or s == above), None)) is None:
            continue
        key = stem.removesuffix(f"_{sequence}"), sequence
        if key in kind:
            raise InputError(f"{path}: {kind[key]} is the same volume; give the folder of one copy as --source")
        kind[key] = path
    return images, masks


def _order(key: Key) -> tuple:
    patient, sequence = key
    match = PATIENT.fullmatch(patient)
    return SEQUENCES.index(sequence), int(match.group(1)) if match else 0, patient


def _split(patient: str, image: Path | None) -> str | None:
    if image is not None and image.parent.name in SPLITS:
        return image.parent.name
    match = PATIENT.fullmatch(patient)
    return None if match is None else "train" if int(match.group(1)) <= LAST else "test"


def _convert(name: str, files: tuple[Path, ...]) -> list[Converted]:
    image = read(files[0])
    if len(files) == 1:
        return [Converted(name, image)]
    stored = array(on_grid(read(files[1]), image, files[1]))
    codes = ENCODINGS["mscmr"]
    if wrong := [value for value in np.unique(stored).tolist() if value not in codes]:
        raise InputError(f"{files[1]}: unknown label values {wrong[:5]}; expected {list(codes)}")
    label = np.select([stored == value for value in codes], list(codes.values())).astype(np.uint8)
    return [Converted(name, image, from_array(label, like=image))]
