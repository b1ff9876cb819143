"""The images of a series in the order of their positions, found complete, and the grid that they make."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from .header import VARIANTS, Frame, Header

UNEVEN = 0.02  # share of the slice distance that two distances may differ by
ROUNDED = 0.021  # mm: positions written with two digits
TOGETHER = 1e-3  # mm that make no other position
SIDEWAYS = 0.1  # mm that a slice may lie beside the line of the others
TILTED = 0.005  # share of the slice distance that slices shift sideways from which on a gantry was tilted


@dataclass(frozen=True, eq=False)
class Slice:
    """One image of a volume: frame ``index`` of the file, and where it lies."""

    path: Path
    index: int
    frame: Frame
    size: tuple[int, int]

    @cached_property
    def depth(self) -> float:
        """Position along the normal of the slice, in mm."""
        return float(np.dot(normal(self.frame), self.frame.position))

    @property
    def name(self) -> str:
        """How messages call it, behind the name of the folder or file."""
        return self.path.name if self.index == 0 else f"frame {self.index + 1} of {self.path.name}"

    @property
    def place(self) -> str:
        """Where it is stored."""
        return str(self.path) if self.index == 0 else f"{self.path} (frame {self.index + 1})"


@dataclass(frozen=True)
class Stack:
    """The slices of a volume, or one picture, in order, with their grid in mm and patient coordinates (LPS).

    Attributes:
        slices: in the order of the third axis.
        origin: center of the first voxel.
        axes: columns are the steps along x, y and z; z is not perpendicular to x and y where the gantry was tilted.
        flat: a single image, which is a picture.
        tilt: angle in degrees between z and the normal of the slices.
    """

    slices: tuple[Slice, ...]
    origin: np.ndarray
    axes: np.ndarray
    flat: bool
    tilt: float = 0.0


def normal(frame: Frame) -> np.ndarray:
    """Unit vector at right angles to a slice, to the side that makes rows, columns and slices right-handed."""
    return np.cross(frame.orientation[:3], frame.orientation[3:])


def stack(where: Path, headers: Sequence[Header]) -> Stack:
    """The volume that the images of one series make.

    Args:
        where: file or folder that messages name.
        headers: of the images.

    Raises:
        InputError: naming file or folder, for images without position, of different size, spacing or orientation,
            several images at one position, missing slices, uneven or sidewise steps.
    """
    slices = [Slice(h.path, index, frame, h.size) for h in headers for index, frame in enumerate(h.frames)]
    if len(slices) == 1:
        return _picture(slices[0])
    _check_placed(where, slices, headers)
    _check_alike(slices)
    slices.sort(key=lambda s: s.depth)
    _check_once(where, slices)
    _check_steps(where, slices)
    return _grid(where, slices)


def _picture(only: Slice) -> Stack:
    frame = only.frame
    spacing = frame.spacing or (1.0, 1.0)
    placed = frame.position is not None and frame.orientation is not None
    x, y = (frame.orientation[:3], frame.orientation[3:]) if placed else np.eye(3)[:2]
    axes = np.stack([x * spacing[0], y * spacing[1], np.cross(x, y)], axis=1)
    return Stack((only,), frame.position if placed else np.zeros(3), axes, flat=True)


def _check_placed(where: Path, slices: Sequence[Slice], headers: Sequence[Header]) -> None:
    for s in slices:
        given: dict[str, Any] = {
            "position": s.frame.position,
            "orientation": s.frame.orientation,
            "pixel spacing": s.frame.spacing,
        }
        missing = next((word for word, v in given.items() if v is None or not all(map(math.isfinite, v))), None)
        if missing and len(headers) < len(slices):
            raise InputError(
                f"{s.path}: a multi-frame file whose {len(slices)} frames have no {missing} of their own"
                " (a film over time?): no volume"
            )
        if missing:
            raise InputError(f"{s.path}: a slice without {missing}, so {where.name} makes no volume")


def _check_alike(slices: Sequence[Slice]) -> None:
    """One size, pixel spacing and orientation, and those such as can be."""
    spacing = np.array([s.frame.spacing for s in slices])
    turned = np.array([s.frame.orientation for s in slices])
    x, y = turned[:, :3], turned[:, 3:]
    products = np.stack([(x * x).sum(1) - 1, (y * y).sum(1) - 1, (x * y).sum(1)])
    other_size = np.array([s.size != slices[0].size for s in slices])
    wrong = {
        "orientation or pixel spacing is none": (np.abs(products) > 2e-3).any(0) | (spacing <= 0).any(1),
        "size or pixel spacing differs from the other slices of the series": other_size
        | (np.abs(spacing - spacing[0]) > 1e-3 * spacing[0]).any(1),
        "orientation differs from the other slices of the series": (np.abs(turned - turned[0]) > 2e-3).any(1),
    }
    for reason, at in wrong.items():
        if at.any():
            raise InputError(f"{slices[int(at.argmax())].place}: {reason}")


def _check_once(where: Path, slices: Sequence[Slice]) -> None:
    """Each position holds one image; otherwise say what tells them apart."""
    steps = np.diff([s.depth for s in slices])
    apart = steps[steps > TOGETHER]
    same = np.flatnonzero(steps <= max(TOGETHER, 0.01 * float(np.median(apart)) if apart.size else 0.0))
    if not same.size:
        return
    places = len(steps) + 1 - same.size
    first, second = slices[same[0]], slices[same[0] + 1]
    differs = next((n for n in VARIANTS if first.frame.variant.get(n) != second.frame.variant.get(n)), None)
    if len(slices) % places == 0 and len(slices) > places:
        several = {s.frame.variant.get(differs, "") for s in slices}
        by = f" ({VARIANTS[differs]}: {', '.join(sorted(several)[:4])})" if differs and len(several) > 1 else ""
        raise InputError(
            f"{where}: {len(slices) // places} images at each of {places} positions{by}; keep one volume of the series"
        )
    raise InputError(f"{second.place}: has the position of {first.name}")


def _check_steps(where: Path, slices: Sequence[Slice]) -> None:
    steps = np.diff([s.depth for s in slices])
    middle = float(np.median(steps))
    uneven = np.flatnonzero(np.abs(steps - middle) > max(UNEVEN * middle, ROUNDED))
    gaps = [
        n
        for n in uneven.tolist()
        if abs(steps[n] / middle - round(steps[n] / middle)) < 0.05 and steps[n] > 1.5 * middle
    ]
    if len(gaps):
        lost = sum(round(steps[n] / middle) - 1 for n in gaps)
        raise InputError(f"{where}: {lost} slices missing, the first after {slices[gaps[0]].name}")
    if uneven.size:
        raise InputError(
            f"{where}: uneven slice spacing, {steps.min():.3f} to {steps.max():.3f} mm; resample it beforehand"
        )


def _grid(where: Path, slices: Sequence[Slice]) -> Stack:
    positions = np.array([s.frame.position for s in slices])
    step = (positions[-1] - positions[0]) / (len(slices) - 1)
    line = positions[0] + np.arange(len(slices))[:, None] * step
    beside = np.abs(positions - line).max(axis=1)
    across = normal(slices[0].frame)
    depth = float(step @ across)
    aside = float(np.linalg.norm(step - depth * across))
    if beside.max() > max(SIDEWAYS, UNEVEN * depth):
        worst = slices[int(beside.argmax())]
        raise InputError(f"{where}: {worst.name} lies {beside.max():.2f} mm beside the line of the other slices")
    tilted = aside > TILTED * depth and aside * (len(slices) - 1) > SIDEWAYS
    orientation, spacing = slices[0].frame.orientation, slices[0].frame.spacing
    axes = [orientation[:3] * spacing[0], orientation[3:] * spacing[1], step if tilted else depth * across]
    tilt = math.degrees(math.atan2(aside, depth)) if tilted else 0.0
    return Stack(tuple(slices), positions[0], np.stack(axes, axis=1), flat=False, tilt=tilt)
