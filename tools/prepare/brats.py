"""BraTS 2019: ``{HGG,LGG}/<case>/<case>_flair.nii.gz`` and ``_seg.nii.gz``, whole tumour on FLAIR."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from common.errors import InputError

from ..volumes import array, binary, bounding_box, crop, on_grid, read, scaled
from .conversion import Conversion, Converted, Dataset
from .lists import by_list, published
from .pairs import found


def find(source: Path, whole_box: bool = False) -> Dataset:
    """FLAIR cropped to the head, clipped above its 99.9 % quantile and z-scored by its positive voxels (SSL4MIS).

    Args:
        source: folder above the case folders.
        whole_box: keep the last slice of the crop along each axis, which the published pipeline loses.
    """
    cases, broken = [], {}
    for image in found(source, "*_flair.nii*"):
        name, ending = image.name.split("_flair")
        label = image.with_name(f"{name}_seg{ending}")
        if not label.is_file():
            broken[name] = f"{label}: no such file; an image without its label"
            continue
        convert = partial(_convert, name, image, label, whole_box)
        cases.append(Conversion(name, (image, label), convert, domain="BraTS", patient=name))
    if not cases and not broken:
        raise InputError(f"{source}: no <case>_flair.nii.gz below; expected the training archive of BraTS 2019")
    cases, missing = by_list(cases, published("brats2019"), lambda case: case.name)
    return Dataset(cases, 2, broken, missing, "published (250 training, 25 validation, 60 test cases)")


def _convert(name: str, image_path: Path, label_path: Path, whole_box: bool) -> list[Converted]:
    image = read(image_path)
    label = on_grid(read(label_path), image, label_path)
    if not (array(image) != 0).any():
        raise InputError(f"{image_path}: the image is empty")
    box = [(first, last + whole_box) for first, last in bounding_box(array(image) != 0)]
    if min(stop - start for start, stop in box) < 1:
        raise InputError(f"{image_path}: the head is one voxel thick")
    image, label = crop(image, box), crop(label, box)
    values = array(image).astype(np.float64)
    values = values.clip(max=np.quantile(values, 0.999))
    head = values[values > 0]
    if not head.std() > 0:
        raise InputError(f"{image_path}: the head has no contrast")
    normalized = scaled(image, (values - head.mean()) / head.std())
    return [Converted(name, normalized, binary(label, array(label) > 0), notes={"box": box})]
