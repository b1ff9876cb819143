"""What a data set is like: the figures that decide a plan."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from common.errors import InputError

from ..check.inspect import Facts

# spacing across slices over spacing within them, and extent within them over their number, from which on they are thick
THICK = 3.0
MARGIN = 0.1  # of the range of what is labeled, on either side


@dataclass(frozen=True)
class Fingerprint:
    """Figures of the readable images, axes in the order right, front, head (RAS) that training uses.

    Attributes:
        dims: 2 or 3.
        channels: of every image.
        modality: CT, MR or other volumes, gray pictures, color pictures: a guess from the intensities.
        sizes: least, median and most extents.
        spacings: least, median and most spacing in mm.
        intensities: percentiles 0.5, 50 and 99.5 of the images, the median over images.
        foreground: where the percentiles 0.5 to 99.5 of all classes lie, in all labeled images.
        across: percentile 10 of the spacing along the axis of the widest.
        organ: extents in mm of the largest class: percentile 90 over labeled images.
        smallest: the least extent in mm of any class: of each class the median over labeled images.
        classes: number of classes, background included.
        volumes: median volume in ml (2D: mm2) of each class.
        images: number of images.
        labeled: number of those with a label.
        encoding: of the labels: ``index``, class numbers; ``binary``, 0 and 255; or the class of each value.
    """

    dims: int
    channels: int
    modality: str
    sizes: tuple[tuple[float, ...], ...]
    spacings: tuple[tuple[float, ...], ...]
    intensities: tuple[float, ...]
    classes: int
    volumes: dict[int, float]
    images: int
    labeled: int
    encoding: str | Mapping[int, int] = "index"
    foreground: tuple[float, float] | None = None
    across: float | None = None
    organ: tuple[float, ...] | None = None
    smallest: float | None = None

    @property
    def thin_axis(self) -> int:
        """Axis of the widest spacing."""
        return int(np.argmax(self.spacings[1]))

    @property
    def anisotropy(self) -> float:
        """Widest spacing over the finest, medians."""
        return max(self.spacings[1]) / min(self.spacings[1])

    @property
    def target(self) -> list[float]:
        """Spacing in mm to train at: the median, and percentile 10 across slices that are few and thick.

        The median would have the thinner slices interpolated away. Never finer than within slices.

        Source: nnU-Net (Isensee et al., Nature Methods 2021).
        """
        target, thin = list(self.spacings[1]), self.thin_axis
        within = [axis for axis in range(self.dims) if axis != thin]
        thick = target[thin] > THICK * max(target[axis] for axis in within)
        few = THICK * self.sizes[1][thin] < min(self.sizes[1][axis] for axis in within)
        if self.dims == 3 and thick and few and self.across is not None:
            target[thin] = max(self.across, max(target[axis] for axis in within))
        return target

    @property
    def window(self) -> list[int] | None:
        """For CT, the range in HU of what is labeled; else ``None``.

        From the least to the greatest percentile 0.5 or 99.5 of any class in any labeled image, so that a small bright
        class is not clipped, and a tenth more on either side, as few labeled patients do not show every organ.
        """
        if self.modality != "CT" or self.foreground is None:
            return None
        low, high = self.foreground
        margin = max(MARGIN * (high - low), 1.0)
        return [math.floor(low - margin), math.ceil(high + margin)]

    def as_json(self) -> dict:
        """Plain values."""
        return asdict(self)


def fingerprint(facts: Sequence[Facts], encoding: str | Mapping[int, int] = "index") -> Fingerprint:
    """Summarize the facts of a data set, whose labels are class numbers by now.

    Raises:
        InputError: where images differ in dimension or channels, an image or label is faulty, or there is no label.
    """
    faulty = [(f.case, finding.text) for f in facts for finding in f.findings if finding.level == "error"]
    if faulty:
        raise InputError(
            f"{len(faulty)} errors, the first in {faulty[0][0]}: {faulty[0][1]}; see python -m tools check"
        )
    labeled = [f for f in facts if f.volumes]
    if not labeled:
        raise InputError("no image has a label; a plan needs at least one (labels)")
    values = sorted({value for f in labeled for value in f.volumes} | {0})
    if values == [0]:
        raise InputError("the labels hold no foreground")
    sizes, spacings = np.array([f.shape for f in facts]), np.array([f.spacing for f in facts])
    return Fingerprint(
        dims=len(facts[0].shape),
        channels=facts[0].channels,
        modality=_modality(facts),
        sizes=_spread(sizes),
        spacings=_spread(spacings),
        intensities=tuple(float(v) for v in np.median([f.percentiles for f in facts], axis=0).round(4)),
        classes=len(values),
        volumes={v: float(np.median([f.volumes[v] for f in labeled if v in f.volumes] or [0])) for v in values},
        images=len(facts),
        labeled=len(labeled),
        encoding=encoding,
        foreground=_foreground(labeled),
        across=round(float(np.percentile(spacings[:, np.argmax(np.median(spacings, axis=0))], 10)), 4),
        **_sizes_of_classes(labeled),
    )


def _sizes_of_classes(labeled: Sequence[Facts]) -> dict:
    """``organ`` and ``smallest`` of a fingerprint."""
    found: dict[int, list[list[float]]] = {}
    for f in labeled:
        for value, box in f.boxes.items():
            found.setdefault(value, []).append(box)
    if not found:
        return {}
    boxes = {value: np.percentile(boxes, 90, axis=0) for value, boxes in found.items()}
    organ = max(boxes.values(), key=np.prod)
    least = min(float(np.median(boxes, axis=0).min()) for boxes in found.values())
    return {"organ": tuple(round(float(side), 3) for side in organ), "smallest": round(least, 3)}


def _foreground(labeled: Sequence[Facts]) -> tuple[float, float] | None:
    ends = [end for f in labeled for value, pair in f.foreground.items() if value for end in pair]
    return (min(ends), max(ends)) if ends else None


def _spread(values: np.ndarray) -> tuple[tuple[float, ...], ...]:
    parts = (values.min(axis=0), np.median(values, axis=0), values.max(axis=0))
    return tuple(tuple(round(float(v), 4) for v in part) for part in parts)


def _modality(facts: Sequence[Facts]) -> str:
    """CT volumes reach far below zero, air at -1000 HU, and hold no large positive scale of their own."""
    if len(facts[0].shape) == 2:
        return "color pictures" if facts[0].channels == 3 else "gray pictures"
    low, high = np.median([f.minimum for f in facts]), np.median([f.maximum for f in facts])
    return "CT" if -5000 < low < -500 and 200 < high < 50000 else "MR or other volumes"
