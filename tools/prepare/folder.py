"""Own data: a folder of images (files, or a DICOM folder per case) and a folder with labels for some of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from common.datasets.dicom import is_dicom, series_files
from common.datasets.endings import ENDINGS, image_files
from common.datasets.lists import FILE, read_lists
from common.datasets.pairing import images_in, named
from common.errors import InputError, require_choice, require_folder
from common.groups import patient_of

from ..volumes import array, from_array, on_grid, read
from .conversion import Conversion, Converted, Dataset
from .lists import kept

CHANNEL = re.compile(r"^(.+)_(\d{4})$")  # nnU-Net: one file per channel
MOST_CLASSES = 64


def find(
    source: Path, images: str = "images", labels: str = "labels", group: str | None = None, splits: str = "keep"
) -> Dataset:
    """Images as they are; labels, where there are any, with their values numbered 0, 1, 2, ...

    Args:
        source: the folder.
        images: folder of the images below it: files, folders with one DICOM series each, or files
            ``<case>_0000.nii.gz``, ``<case>_0001.nii.gz`` with one channel each.
        labels: folder of the labels below it, named like the images; cases without a label are unlabeled.
        group: template of cases' names such as '{patient}_*', in quotes; the one of ``splits.json`` by default.
        splits: ``keep`` the lists of a ``splits.json`` in the folder, or ``redraw`` them.
    """
    require_choice(splits=(splits, ("keep", "redraw")))
    folder = Path(require_folder(source / images, "it must hold the images (images)"))
    label_folder = Path(require_folder(source / labels, "it must hold the labels (labels)"))
    found: dict[str, list[Path]] = {}
    for stem, path in images_in(folder).items():
        match = CHANNEL.match(stem)
        found.setdefault(match.group(1) if match else stem, []).append(path)
    label_of = named(image_files(label_folder))
    if not found:
        raise InputError(f"{folder}: no images with one of the endings {', '.join(ENDINGS)}, and no DICOM folders")
    broken = {name: f"{path}: a label without its image" for name, path in label_of.items() if name not in found}
    codes, unreadable = _codes([path for name, path in label_of.items() if name in found])
    lists = source / FILE
    keep = splits == "keep" and lists.is_file()
    if keep and group is None:
        group = read_lists(lists).group
    patient = patient_of(group)
    cases = []
    for name, files in found.items():
        label = label_of.get(name)
        if label in unreadable:
            broken[name] = unreadable[label]
            continue
        sources = (*(part for path in files for part in _parts(path)), *([label] if label else []))
        convert = partial(_convert, name, files, label, codes)
        owner = patient(name) if group else ""
        cases.append(Conversion(name, sources, convert, None if label else "train", patient=owner))
    dataset = Dataset(cases, len(codes) or None, broken, group=group)
    return kept(dataset, lists) if keep else dataset


def _parts(path: Path) -> list[Path]:
    """The files of a DICOM series that one of them stands for; any other path itself."""
    return series_files(path) if path.is_file() and is_dicom(path) else [path]


def _codes(paths: Sequence[Path]) -> tuple[dict[int, int], dict[Path, str]]:
    """Class of each value that occurs in any label, and the labels that cannot be used, with the reason."""
    values: set[int] = {0}
    unreadable = {}
    for path in paths:
        try:
            stored = np.unique(_flat(array(read(path))))
            if len(stored) > MOST_CLASSES or not np.array_equal(stored, stored.round()):
                raise InputError(f"{path}: {len(stored)} label values; no label map (smoothed or compressed?)")
            values |= {int(value) for value in stored}
        except InputError as error:
            unreadable[path] = str(error)
    return {value: number for number, value in enumerate(sorted(values))}, unreadable


def _flat(values: np.ndarray) -> np.ndarray:
    """A label saved as a color picture of gray levels, as one channel."""
    return values[..., 0] if values.ndim == 3 and values.shape[-1] in (3, 4) else values


def _convert(name: str, files: Sequence[Path], label_path: Path | None, codes: dict[int, int]) -> list[Converted]:
    channels = [_image(path) for path in files]
    image = channels[0] if len(channels) == 1 else sitk.JoinSeries([sitk.Cast(c, sitk.sitkFloat32) for c in channels])
    if label_path is None:
        return [Converted(name, image)]
    label = read(label_path)
    if label.GetNumberOfComponentsPerPixel() > 1:
        label = from_array(_flat(array(label)), like=label)
    label = on_grid(label, channels[0], label_path) if label.GetDimension() == 3 else _flat_geometry(label, image)
    stored = array(label)
    values = np.select([stored == value for value in codes], list(codes.values())).astype(np.uint8)
    renamed = {str(value): number for value, number in codes.items() if value != number}
    return [Converted(name, image, from_array(values, like=label), notes={"label_values": renamed} if renamed else {})]


def _flat_geometry(label: sitk.Image, image: sitk.Image) -> sitk.Image:
    if label.GetSize() == image.GetSize():
        label.CopyInformation(image)
    return label


def _image(path: Path) -> sitk.Image:
    image = read(path)
    if image.GetDimension() == 2 and image.GetNumberOfComponentsPerPixel() > 1:
        values = array(image)[..., :3]
        if values.shape[-1] < 3 or np.ptp(values, axis=-1).max() == 0:
            return from_array(values[..., 0], spacing=image.GetSpacing())
        return sitk.GetImageFromArray(np.ascontiguousarray(values.transpose(1, 0, 2)), isVector=True)
    return image
