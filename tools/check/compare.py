"""What is wrong with a case beside the others: classes, spacings, intensities, copies, patients on two sides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from common.datasets.likeness import Signature, find_pairs

from .families import families
from .inspect import Facts

TRAINING = ("train", "unlisted")


def check_labels(facts: Sequence[Facts], classes: int | None) -> None:
    """Values outside 0..K-1, and classes that a volume lacks though most have them."""
    labeled = [f for f in facts if f.volumes]
    values = sorted({value for f in labeled for value in f.volumes})
    known = set(range(classes)) if classes else set(values)
    if not classes and values != list(range(len(values))):
        known = set(range(len(values)))
    for f in labeled:
        if wrong := sorted(set(f.volumes) - known):
            f.note("error", "label values", f"values {wrong[:5]} outside the classes 0..{max(known)}")
    common = {v for v in values if sum(v in f.volumes for f in labeled) > 0.8 * len(labeled)}
    for f in labeled:
        if len(f.shape) == 3 and (absent := sorted(common - set(f.volumes))) and set(f.volumes) != {0}:
            f.note("warning", "class absent", f"no voxel of class {', '.join(map(str, absent))}")


def check_coded(facts: Sequence[Facts]) -> None:
    """Take masks of 0 and 255 alone for classes 0 and 1, and say so."""
    labeled = [f for f in facts if f.volumes]
    if set().union(*(f.volumes for f in labeled)) == {0, 255}:
        for f in labeled:
            f.note("warning", "coded masks", "masks hold 0 and 255")
            f.volumes = {value // 255: volume for value, volume in f.volumes.items()}


def check_spacings(facts: Sequence[Facts]) -> None:
    """Dimensions and channels unlike most, and spacings more than half again off the median and three spreads."""
    seen = [f for f in facts if f.spacing]
    if not seen:
        return
    kinds = [(len(f.shape), f.channels) for f in seen]
    usual = max(set(kinds), key=kinds.count)
    for f, kind in zip(seen, kinds):
        if kind != usual:
            f.note("error", "dimensions", f"{kind[0]}D with {kind[1]} channels; most are {usual[0]}D with {usual[1]}")
    alike = [f for f, kind in zip(seen, kinds) if kind == usual]
    logs = np.log([f.spacing for f in alike])
    middle = np.median(logs, axis=0)
    spread = 1.4826 * np.median(np.abs(logs - middle), axis=0)
    for f, log in zip(alike, logs):
        if (np.abs(log - middle) > np.maximum(3 * spread, np.log(1.5))).any():
            f.note("warning", "spacing", f"{f.spacing} mm; the median is {np.exp(middle).round(3).tolist()}")


def check_intensities(facts: Sequence[Facts]) -> None:
    """Ranges of intensity ten times wider or narrower than the median's."""
    seen = [f for f in facts if f.percentiles and f.percentiles[2] > f.percentiles[0]]
    if len(seen) < 3:
        return
    widths = np.log([f.percentiles[2] - f.percentiles[0] for f in seen])
    for f, width in zip(seen, widths):
        if abs(width - np.median(widths)) > np.log(10):
            f.note("warning", "intensities", f"range {f.percentiles[0]:g} to {f.percentiles[2]:g}, unlike the others")


def check_sides(facts: Sequence[Facts], patient: Callable[[str], str]) -> None:
    """A patient in training and in validation or test."""
    sides: dict[str, dict[str, str]] = {}
    for f in facts:
        if f.role != "unlisted":
            owner = sides.setdefault(patient(f.case), {})
            if other := next((role for role in owner if role != f.role), None):
                f.note("error", "leak", f"its patient is in {f.role} and, as {owner[other]}, in {other}")
            owner.setdefault(f.role, f.case)


def check_copies(
    facts: Sequence[Facts], signatures: Mapping[str, Signature], patient: Callable[[str], str]
) -> list[dict]:
    """Identical and nearly identical images, those alike in groups; returns the pairs."""
    by_name = {f.case: f for f in facts}
    pairs = find_pairs(dict(signatures), lambda a, b: patient(a) == patient(b))
    alike = []
    for pair in pairs:
        first, second = by_name[pair.first], by_name[pair.second]
        across = first.role != second.role and "unlisted" not in (first.role, second.role)
        if not across and not pair.identical:
            alike.append((pair.first, pair.second))
            continue
        what = f"image identical to {pair.second}" if pair.identical else f"image like {pair.second} ({pair.score:.2f})"
        if pair.identical and first.label_voxels and second.label_voxels:
            what += ", label " + ("identical too" if first.label_voxels == second.label_voxels else "different")
        sides = f" across {first.role} and {second.role}" if across else ""
        first.note("error" if across and pair.identical else "warning", "leak" if across else "copy", what + sides)
    for number, names in enumerate(families(alike), start=1):
        for name in names:
            by_name[name].note("warning", "alike", f"group {number} of {len(names)} images alike, of one patient?")
    return [
        {"first": p.first, "second": p.second, "identical": p.identical, "score": p.score,
         "roles": [by_name[p.first].role, by_name[p.second].role]} for p in pairs
    ]  # fmt: skip
