"""What an image and its label must be before a network sees them: the checks of training, evaluation and inference.

They look at arrays that were decoded anyway: the extremes of the image, once, and two affines. The command ``check``
judges by the same limits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from ..errors import InputError

SAME = 1e-3  # of a voxel: what the rounding of headers makes
NOISE = 0.05  # of a voxel: a difference of grids up to this is said and tolerated
PLACED = "placed"  # metadata of an image: whether its file says where in space it lies
MOST = 1e18  # the square of a voxel's value must stay within float32


def check_affine(affine: np.ndarray, path: Any) -> None:
    """Raise ``InputError`` for a header whose axes are not finite, have no length or fall together."""
    axes = np.asarray(affine, float)[:-1, :-1]
    lengths = np.linalg.norm(axes, axis=0)
    if not np.isfinite(affine).all():
        raise InputError(f"{path}: the header's affine holds NaN or infinite values")
    if not (lengths > 0).all() or abs(np.linalg.det(axes / lengths)) < 1e-3:
        raise InputError(
            f"{path}: the header's axes have no length or are not independent (spacing {lengths.tolist()})"
        )


def check_image(shape: Sequence[int], low: float, high: float, path: Any) -> None:
    """Raise ``InputError`` for an image without voxels, with NaN or infinite values, or of one value everywhere.

    Args:
        shape: extents, channels first.
        low: least value; NaN where any value is.
        high: greatest value.
        path: of the file, for the message.
    """
    if 0 in shape:
        raise InputError(f"{path}: the image has no voxels ({' x '.join(map(str, shape[1:]))})")
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(f"{path}: the image holds NaN or infinite values")
    if max(-low, high) > MOST:
        raise InputError(f"{path}: values up to {max(-low, high):g} are no intensities (at most {MOST:g})")
    if low == high:
        raise InputError(f"{path}: every voxel is {low:g}: there is nothing to see")


def check_shape(shape: Sequence[int], dims: Collection[int], channels: int | None, path: Any) -> None:
    """Raise ``InputError`` unless an image has as many axes and channels as the network takes.

    Args:
        shape: extents, channels first.
        dims: numbers of spatial axes that are possible.
        channels: of the network; ``None``: any.
        path: of the file, for the message.
    """
    if len(shape) - 1 not in dims:
        wanted = " or ".join(f"{number}D" for number in sorted(dims))
        raise InputError(f"{path}: the image is {len(shape) - 1}D, and the network takes {wanted} images (patch_size)")
    if channels is not None and shape[0] != channels:
        raise InputError(f"{path}: {shape[0]} channels, expected {channels} (in_channels)")


def grid_difference(shape: Sequence[int], affine: np.ndarray, other: np.ndarray) -> float:
    """How far apart corners of two grids of one shape lie, in edges of the first one's smallest voxel."""
    spatial = len(shape)
    corners = np.array([*product(*((0, extent - 1) for extent in shape))], float)
    moved = np.asarray(affine, float) - np.asarray(other, float)
    apart = corners @ moved[:spatial, :spatial].T + moved[:spatial, spatial]
    edge = np.linalg.norm(np.asarray(affine, float)[:spatial, :spatial], axis=0).min()
    return float(np.linalg.norm(apart, axis=1).max() / edge)


def how_grids_differ(affine: np.ndarray, other: np.ndarray) -> str:
    """What of origin, spacing and direction differs, in words."""
    spatial = len(affine) - 1
    lengths, others = (np.linalg.norm(a[:spatial, :spatial], axis=0) for a in (affine, other))
    origins = affine[:spatial, spatial], other[:spatial, spatial]
    parts = []
    if not np.allclose(lengths, others, rtol=1e-3):
        parts.append(f"spacing {_numbers(others)} instead of {_numbers(lengths)} mm")
    if not np.allclose(affine[:spatial, :spatial] / lengths, other[:spatial, :spatial] / others, atol=1e-3):
        parts.append("direction")
    if not np.allclose(*origins, atol=NOISE * lengths.min()):
        parts.append(f"origin {_numbers(origins[1])} instead of {_numbers(origins[0])} mm")
    return "geometry differs from the image's: " + (", ".join(parts) or "a little everywhere")


def _numbers(values: np.ndarray) -> str:
    return "(" + ", ".join(f"{value:g}" for value in np.round(values, 3) + 0.0) + ")"


def whole_numbers(values: np.ndarray, path: Any) -> np.ndarray:
    """Values of a label as whole numbers; what differs from one by more than float32's rounding is an ``InputError``.

    Args:
        values: the distinct ones.
        path: of the file, for the message.
    """
    rounded = np.round(values)
    wrong = ~np.isclose(values, rounded, rtol=1e-6, atol=1e-6)
    if wrong.any():
        some = ", ".join(f"{value:.8g}" for value in values[wrong][:3])
        raise InputError(f"{path}: {some} among its values: a label holds whole numbers (resampled or smoothed?)")
    return rounded


def check_classes(values: Collection[float], classes: int, path: Any) -> None:
    """Raise ``InputError`` for label values outside ``0..classes - 1``."""
    if wrong := sorted(value for value in values if value not in range(classes)):
        some = ", ".join(f"{value:g}" for value in wrong[:5])
        raise InputError(f"{path}: label values [{some}] outside the classes 0..{classes - 1} (num_classes, encoding)")


def absent(found: Mapping[str, Collection[int]], classes: int) -> Iterator[str]:
    """A sentence for classes that no label has, and one for labels without foreground.

    Args:
        found: classes in the label of each case.
        classes: number of classes.
    """
    lost = [str(value) for value in range(classes) if not any(value in values for values in found.values())]
    if found and lost:
        yield f"no label holds class {', '.join(lost)}: num_classes may be too high, or the cases too few"
    if empty := [name for name, values in found.items() if set(values) <= {0}]:
        more = f" and {len(empty) - 3} more" if len(empty) > 3 else ""
        yield f"labels without foreground: {', '.join(empty[:3])}{more}"


def check_leaks(sums: Mapping[str, Mapping[str, Mapping[str, str]]], training: Collection[str]) -> None:
    """Raise ``InputError`` where files with one content are images of training and of another list.

    Args:
        sums: of the files of each case of each list, ``{list: {case: {"image": sum}}}``.
        training: lists that are trained on.
    """
    known = {files["image"]: (case, role) for role in training for case, files in sums.get(role, {}).items()}
    for role, cases in sums.items():
        for case, files in cases.items() if role not in training else ():
            if files["image"] in known:
                other, where = known[files["image"]]
                raise InputError(f"{case} ({role}) has the image of {other} ({where}): leave one of both out")
