"""What one image and its label look like, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from common.datasets import Case
from common.datasets.dicom import is_dicom, stack_at
from common.datasets.gate import NOISE, SAME
from common.datasets.itk import file_reader
from common.datasets.likeness import Signature, signature
from common.errors import InputError

from ..volumes import array, read, same_grid
from .remedies import REMEDIES

PERCENTILES = (0.5, 50.0, 99.5)
AXES = ("LR", "PA", "SI")  # letters of an axis that runs along right-left, front-back, head-feet
MOST_VALUES = 64  # a label map has no more classes than this


@dataclass(frozen=True)
class Finding:
    """Something wrong: an ``error`` would stop or spoil a training, a ``warning`` deserves a look."""

    level: str
    kind: str
    text: str
    remedy: str


@dataclass
class Facts:
    """What is known of a case; figures are missing where it cannot be read.

    Extents and spacing of volumes are those of training: to the right, to the front, to the head. ``foreground`` holds
    the percentiles 0.5 and 99.5 of the image where the label has a class, ``boxes`` the extents of each class in mm,
    axes as those of ``shape``.
    """

    case: str
    role: str
    image: str
    shape: list[int] = field(default_factory=list)
    channels: int = 1
    spacing: list[float] = field(default_factory=list)
    orientation: str = ""
    minimum: float = 0.0
    maximum: float = 0.0
    mean: float = 0.0
    deviation: float = 0.0
    percentiles: list[float] = field(default_factory=list)
    label: str | None = None
    label_voxels: str | None = None
    volumes: dict[int, float] = field(default_factory=dict)
    foreground: dict[int, list[float]] = field(default_factory=dict)
    boxes: dict[int, list[float]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def note(self, level: str, kind: str, text: str) -> None:
        self.findings.append(Finding(level, kind, text, REMEDIES[kind]))

    def as_json(self) -> dict:
        """Plain values, without the label's checksum."""
        content = asdict(self)
        del content["label_voxels"]
        return content


def header(path: Path) -> tuple[int, ...] | None:
    """Spatial extents from the header of a file or DICOM series; ``None`` for an unreadable one."""
    if path.is_dir() or is_dicom(path):
        try:
            slices = stack_at(path).slices
        except InputError:
            return None
        return (*slices[0].size, len(slices)) if len(slices) > 1 else slices[0].size
    try:
        reader = file_reader(path)
        reader.ReadImageInformation()
    except (RuntimeError, InputError):
        return None
    return tuple(reader.GetSize()[:3])


def inspect(item: Case, step: tuple[int, ...]) -> tuple[Facts, Signature | None]:
    """Facts and findings of a case, and the signature of its image."""
    facts = Facts(item.name, item.role, str(item.image), label=str(item.label) if item.label else None)
    try:
        image = read(item.image)
    except InputError as error:
        facts.note("error", "unreadable", str(error))
        return facts, None
    first = image[(..., 0)] if image.GetDimension() == 4 else image
    values = array(image)
    if not values.size:
        facts.note("error", "unreadable", f"{item.image}: the image has no voxels")
        return facts, None
    _describe(facts, first, values)
    if item.labels:
        _describe_label(facts, first, item.labels, values)
    channel = values[..., 0] if values.ndim > first.GetDimension() else values
    usable = values.dtype.kind != "c" and np.isfinite(values).all()
    return facts, signature(channel, step) if usable else None


def _describe(facts: Facts, image: sitk.Image, values: np.ndarray) -> None:
    facts.shape, facts.spacing = list(image.GetSize()), [round(s, 5) for s in image.GetSpacing()]
    facts.channels = values.shape[-1] if values.ndim > image.GetDimension() else 1
    if image.GetDimension() == 3:
        facts.orientation = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())
        order = _order(facts)
        facts.shape, facts.spacing = [facts.shape[i] for i in order], [facts.spacing[i] for i in order]
    if values.dtype.kind == "c":
        facts.note("error", "no numbers", "complex voxels")
        return
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        facts.note("error", "not finite", f"{np.count_nonzero(~np.isfinite(values))} NaN or infinite voxels")
        return
    facts.minimum, facts.maximum = float(values.min()), float(values.max())
    facts.mean, facts.deviation = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
    facts.percentiles = [float(p) for p in np.percentile(values, PERCENTILES)]
    if facts.minimum == facts.maximum:
        facts.note("error", "constant", f"every voxel is {facts.minimum:g}")


def _order(facts: Facts) -> list[int]:
    """Axes of the file in the order right, front, head; of pictures as they are."""
    if not facts.orientation:
        return [0, 1]
    return [next(i for i, letter in enumerate(facts.orientation) if letter in pair) for pair in AXES]


def _boxes(stored: np.ndarray, values: Sequence[int], spacing: Sequence[float], order: Sequence[int]) -> dict:
    """Extents in mm of the box around each value."""
    found = {}
    for value in values:
        here = stored == value
        sides = []
        for axis in order:
            places = np.flatnonzero(here.any(axis=tuple(a for a in range(here.ndim) if a != axis)))
            sides.append(round(float(places[-1] - places[0] + 1) * spacing[axis], 3))
        found[value] = sides
    return found


def _describe_label(facts: Facts, image: sitk.Image, paths: Sequence[Path], voxels: np.ndarray) -> None:
    try:
        label, stored = read_label(paths)
    except InputError as error:
        facts.note("error", "label values" if "color" in str(error) else "unreadable", str(error))
        return
    if label.GetSize() != image.GetSize():
        facts.note("error", "geometry", f"label {list(label.GetSize())} for an image {list(image.GetSize())}")
    elif not same_grid(image, label, tolerance=NOISE):
        facts.note("error", "geometry", "label and image differ in spacing, origin or direction")
    elif not same_grid(image, label, tolerance=SAME):
        facts.note("warning", "rounding", f"headers of label and image differ, by less than {NOISE} of a voxel")
    values, counts = np.unique(stored, return_counts=True)
    if not np.isfinite(values).all() or not np.array_equal(values, values.round()) or len(values) > MOST_VALUES:
        facts.note("error", "no label map", f"{len(values)} values, such as {values[:4].tolist()}: no class numbers")
        return
    voxel = float(np.prod(label.GetSpacing())) / (1000 if label.GetDimension() == 3 else 1)
    facts.volumes = {int(value): round(int(count) * voxel, 4) for value, count in zip(values, counts)}
    if stored.shape == voxels.shape and voxels.dtype.kind in "iuf":
        inside = {int(value): voxels[stored == value] for value in values if value}
        facts.foreground = {value: np.percentile(part, PERCENTILES[::2]).tolist() for value, part in inside.items()}
    if stored.ndim == len(facts.shape):
        facts.boxes = _boxes(stored, [int(v) for v in values if v], label.GetSpacing(), _order(facts))
    facts.label_voxels = signature(stored, (1,) * stored.ndim).voxels
    if set(facts.volumes) == {0}:
        facts.note("warning", "empty label", "no foreground")


def read_label(paths: Sequence[Path]) -> tuple[sitk.Image, np.ndarray]:
    """The first of a label's files, and the greatest value of all of them at each voxel.

    Raises:
        InputError: naming the file, for one that cannot be read, is in color or of another size than the first.
    """
    labels = [read(path) for path in paths]
    stored = [_gray(array(label), label, path) for label, path in zip(labels, paths)]
    for values, path in zip(stored, paths):
        if values.shape != stored[0].shape:
            raise InputError(f"{path}: mask of size {values.shape}, but {paths[0].name} has {stored[0].shape}")
    return labels[0], np.maximum.reduce(stored)


def _gray(values: np.ndarray, label: sitk.Image, path: Path) -> np.ndarray:
    """A map without colors, though it may be stored in several equal channels."""
    if label.GetNumberOfComponentsPerPixel() == 1:
        return values
    if np.ptp(values[..., :3], axis=-1).any():
        raise InputError(f"{path}: is in color; python -m tools prepare turns colors into class numbers")
    return values[..., 0]
