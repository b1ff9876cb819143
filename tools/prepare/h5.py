"""The community's HDF5 files: arrays ``image`` and ``label``, of volumes or slices."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import SimpleITK as sitk

from common.errors import InputError, require_choice
from common.groups import grouping

from ..volumes import from_array
from .conversion import Conversion, Converted, Dataset
from .lists import KEYS, by_list, published
from .pairs import found

LISTS = ("{}.list", "{}.txt", "{}_slices.list")
SLICE = re.compile(r"_slice_\d+$")
BENCHMARKS = {  # order of the stored axes and voxel size in mm
    "la2018": ("xyz", 0.625),
    "brats2019": ("zyx", 1.0),
    "acdc": ("zyx", 1.0),  # its files do not say
    "pancreas_mcnet": ("xyz", 1.0),
    "pancreas_mcf": ("xyz", 1.0),
}


def find(
    source: Path,
    axes: str | None = None,
    spacing: Sequence[float] | float | None = None,
    benchmark: str | None = None,
    group: str | None = None,
    image_key: str = "image",
    label_key: str = "label",
) -> Dataset:
    """Arrays as they are, with the geometry the files lack. Slices of volumes that are there too are left out.

    Args:
        source: folder above the files; ``train.list`` (or ``.txt``), ``val`` and ``test`` in it give the splits.
        axes: order of the stored axes, ``xyz`` or ``zyx``; the benchmark's by default, ``xyz`` without one.
        spacing: voxel size in mm in the order x, y(, z); the benchmark's by default, 1 without one.
        benchmark: la2018, brats2019, acdc, pancreas_mcnet or pancreas_mcf, whose published lists are taken instead.
        group: template of cases' names such as '{patient}_*', in quotes.
        image_key: name of the image's array.
        label_key: name of the label's array.
    """
    require_choice(axes=(axes, (None, "xyz", "zyx")), benchmark=(benchmark, (None, *BENCHMARKS)))
    stored = BENCHMARKS.get(benchmark, ("xyz", 1.0))
    axes, spacing = axes or stored[0], stored[1] if spacing is None else spacing
    files = _whole(found(source, "*.h5"))
    if not files:
        raise InputError(f"{source}: no .h5 files below")
    names = _names(files)
    if benchmark == "acdc":
        group = group or "{patient}_*"
    cases, patient = [], grouping(group)
    for name, path in zip(names, files):
        convert = partial(_convert, name, path, axes, spacing, (image_key, label_key))
        cases.append(Conversion(name, (path,), convert, patient=patient(name)))
    lists, origin = _lists(source, benchmark)
    if not lists:
        return Dataset(cases, None, group=group)
    by_patient = benchmark == "acdc"
    cases, missing = by_list(cases, lists, lambda case: case.patient if by_patient else _key(case.name))
    return Dataset(cases, None, {}, missing, origin, group)


def _whole(files: Sequence[Path]) -> list[Path]:
    """Without the slices ``<volume>_slice_<n>`` of volumes that are there too: the benchmark of ACDC brings both."""
    volumes = {path.stem for path in files}
    return [path for path in files if (cut := SLICE.sub("", path.stem)) == path.stem or cut not in volumes]


def _names(files: Sequence[Path]) -> list[str]:
    """Names of the cases: of the files, or of their folders where the files' are not unique (``mri_norm2.h5``)."""
    stems = [path.stem for path in files]
    if len(set(stems)) < len(stems):
        stems = [path.parent.name for path in files]
    if repeated := next((stem for stem in stems if stems.count(stem) > 1), None):
        raise InputError(f"several .h5 files are named {repeated}; give the folder of one set as --source")
    return stems


def _key(name: str) -> str:
    """The name in lists: ``image0001_norm`` and ``PANCREAS_0001`` are the same scan."""
    number = re.fullmatch(r"image(\d{4})(_norm)?", name)
    return f"PANCREAS_{number.group(1)}" if number else name


def _lists(source: Path, benchmark: str | None) -> tuple[dict[str, list[str]], str]:
    if benchmark:
        return published(benchmark), f"published ({benchmark})"
    lists = {}
    for key in KEYS:
        paths = [source / pattern.format(key) for pattern in LISTS]
        path = next((path for path in paths if path.is_file()), None)
        if path is not None:
            lines = [
                line.strip().removesuffix("/mri_norm2.h5") for line in path.read_text(encoding="utf-8").splitlines()
            ]
            lists[key] = [_key(line.split("/")[-1].removesuffix(".h5")) for line in lines if line]
    return lists, "lists of the source"


def _convert(name: str, path: Path, axes: str, spacing, keys: tuple[str, str]) -> list[Converted]:
    try:
        with h5py.File(path) as file:
            if keys[0] not in file:
                raise InputError(f"{path}: no array '{keys[0]}'; there are {sorted(file)}")
            arrays = [np.asarray(file[key]) for key in keys if key in file]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    image = arrays[0]
    if image.ndim not in (2, 3) or any(part.shape != image.shape for part in arrays):
        raise InputError(f"{path}: arrays of shapes {[part.shape for part in arrays]}; expected equal 2D or 3D shapes")
    if axes == "zyx":
        arrays = [part.T for part in arrays]
    size = [spacing] * image.ndim if isinstance(spacing, (int, float)) else list(spacing)[: image.ndim]
    label = _label(arrays[1], size, path) if len(arrays) > 1 else None
    return [Converted(name, from_array(arrays[0].astype(np.float32), spacing=size), label)]


def _label(values: np.ndarray, spacing: Sequence[float], path: Path) -> sitk.Image:
    if not np.array_equal(values, values.round()) or values.min() < 0 or values.max() > 255:
        raise InputError(f"{path}: label values must be whole numbers from 0 to 255")
    return from_array(values.astype(np.uint8), spacing=spacing)
