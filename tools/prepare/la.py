"""2018 Atrial Segmentation Challenge: folders with ``lgemri.nrrd`` and ``laendo.nrrd``."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from common.errors import InputError, require_choice

from ..volumes import Box, array, binary, bounding_box, crop, on_grid, read, scaled, z_score
from .conversion import Conversion, Converted, Dataset
from .lists import by_list, published
from .pairs import found

PATCH = 112  # voxels: a crop is never smaller in plane, whatever the atrium
MARGINS = 10, 19  # voxels per side, drawn by side and case


def find(source: Path, crop: str = "label", window_from: int = 8, window_margin: int = 20, seed: int = 1337) -> Dataset:
    """Cases, z-scored over the whole volume and then cropped in x and y.

    Args:
        source: folder somewhere above the case folders.
        crop: ``label``, as the benchmark does: around each case's own label (those of test cases included) with drawn
            margins. ``window``, without the labels of the cases cropped: one window for all, which holds the labels
            of the first ``window_from`` training cases. ``none``: whole volumes.
        window_from: training cases that decide the window; the labeled ones of a study, or fewer.
        window_margin: voxels around their labels.
        seed: of the drawn margins.
    """
    require_choice(crop=(crop, ("label", "window", "none")))
    cases, broken = [], {}
    for image in found(source, "lgemri.nrrd"):
        label, name = image.with_name("laendo.nrrd"), image.parent.name
        if not label.is_file():
            broken[name] = f"{label}: no such file; an image without its label"
            continue
        cases.append(Conversion(name, (image, label), lambda: (), patient=name))
    for label in found(source, "laendo.nrrd"):
        if not label.with_name("lgemri.nrrd").is_file():
            broken[label.parent.name] = f"{label.with_name('lgemri.nrrd')}: no such file; a label without its image"
    if not cases and not broken:
        raise InputError(f"{source}: no lgemri.nrrd below; expected the unpacked archive of the challenge")
    cases, missing = by_list(cases, published("la2018"), lambda case: case.name)
    window = _window(cases[:window_from], window_margin) if crop == "window" else None
    cases = [_with_convert(case, crop, window, seed) for case in cases]
    return Dataset(cases, 2, broken, missing, "published (80 training, 20 test cases)")


def _with_convert(case: Conversion, mode: str, window: np.ndarray | None, seed: int) -> Conversion:
    image, label = case.sources
    convert = partial(_convert, case.name, image, label, mode, window, seed)
    return Conversion(case.name, case.sources, convert, case.split, "LA", case.name)


def _mask(label_path: Path, image) -> np.ndarray:
    return array(on_grid(read(label_path), image, label_path)) == 255


def _convert(name: str, image_path: Path, label_path: Path, mode: str, window, seed: int) -> list[Converted]:
    image = read(image_path)
    mask = _mask(label_path, image)
    normalized = scaled(image, z_score(array(image)))
    box: Box = [(0, n) for n in image.GetSize()]
    if mode == "label":
        box[:2] = _around(bounding_box(mask), image.GetSize(), random.Random(f"{seed} {name}"))
    elif mode == "window":
        box[:2] = [(int(low * n), int(np.ceil(high * n))) for (low, high), n in zip(window, image.GetSize())]
    inside = crop(binary(image, mask), box)
    kept = float(array(inside).sum() / max(mask.sum(), 1))
    return [Converted(name, crop(normalized, box), inside, notes={"box": box, "label_kept": round(kept, 6)})]


def _around(box: Box, size: Sequence[int], draw: random.Random) -> Box:
    """The label's box in x and y, grown to the patch and by a drawn margin per side."""
    grown = []
    for first, last in box[:2]:
        fill = max(PATCH - (last - first), 0) // 2
        grown.append((first - draw.randint(*MARGINS) - fill, last + draw.randint(*MARGINS) + fill))
    return [(max(start, 0), min(stop, extent)) for (start, stop), extent in zip(grown, size)]


def _window(cases: list[Conversion], margin: int) -> np.ndarray:
    """Low and high end in x and y of the labels' common box, as shares of the extents."""
    if not cases:
        raise InputError("crop=window needs training cases")
    shares = []
    for case in cases:
        image = read(case.sources[0])
        boxes = bounding_box(_mask(case.sources[1], image))[:2]
        shares.append([[(a - margin) / n, (b + 1 + margin) / n] for (a, b), n in zip(boxes, image.GetSize())])
    ends = np.array(shares)
    return np.stack([ends[:, :, 0].min(0).clip(0), ends[:, :, 1].max(0).clip(max=1)], axis=1)
