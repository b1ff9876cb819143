"""What is wrong with a case beside the others: classes, spacings, intensities, copies, patients on two sides."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from common.datasets.likeness import Signature, find_pairs

from .families import families, too_many
from .inspect import Facts

FEW = 3  # labels beside one that alone has a value, from which on that looks like a slip
BYTE = 255
LONE = "lone value"
MOST_TOLD = 8  # values in a line


def coding_of(labels: Sequence[Collection[int]]) -> str | dict[int, int]:
    """How labels of these values are stored: as class numbers, as 0 and 255, or with a number for each value.

    Labels of which some hold 255 alone and others other values are stored in two ways, which one coding cannot say.
    """
    known = sorted({0}.union(*labels))
    if known == [0, BYTE]:
        return "binary"
    mixed = BYTE in known and not any(BYTE in values and len(set(values) - {0}) > 1 for values in labels)
    if mixed or known == list(range(len(known))):
        return "index"
    return {value: number for number, value in enumerate(known)}


def check_coded(facts: Sequence[Facts], classes: int | None = None) -> list[int]:
    """Number the classes of labels that hold other whole numbers, such as 0 and 255, and say so.

    A value that one label of several has is an error, beside class numbers a warning: nobody can tell a slip from a
    class that is rare, and there is no second example to learn it from.

    Args:
        facts: of all cases; ``volumes`` are by class afterwards.
        classes: what the user says that labels hold: 0 to so many less one, or 0 and 255.

    Returns:
        The value of each class, in order; none for labels that hold class numbers.
    """
    labeled = [f for f in facts if f.volumes]
    coding = coding_of([set(f.volumes) for f in labeled])
    known = sorted({0}.union(*(f.volumes for f in labeled)))
    for value in known[1:] if len(labeled) > FEW and len(known) > 2 and not classes else ():
        owners = [f for f in labeled if value in f.volumes]
        if len(owners) == 1:
            level = "warning" if coding == "index" else "error"
            owners[0].note(level, LONE, f"value {value} is in this label alone, of {len(labeled)}")
    if coding == "index" or (classes and coding != "binary"):
        return []
    number_of = {0: 0, BYTE: 1} if isinstance(coding, str) else coding
    values = list(number_of)
    if any(finding.kind == LONE for f in labeled for finding in f.findings):
        return []
    told = f"{', '.join(map(str, values[:MOST_TOLD]))}{', ...' if len(values) > MOST_TOLD else ''}"
    for f in labeled:
        f.note("warning", "coded masks", f"labels hold {told}")
        f.volumes = {number_of[value]: volume for value, volume in f.volumes.items()}
    return values


def check_labels(facts: Sequence[Facts], classes: int | None) -> None:
    """Values outside 0..K-1, and classes that a volume lacks though most have them."""
    labeled = [f for f in facts if f.volumes]
    values = sorted({value for f in labeled for value in f.volumes})
    known = set(range(classes)) if classes else set(values)
    if not classes and values != list(range(len(values))):
        known = set(range(len(values)))
    for f in labeled:
        if any(finding.kind == LONE for finding in f.findings):
            continue
        if wrong := sorted(set(f.volumes) - known):
            f.note("error", "label values", f"values {wrong[:5]} outside the classes 0..{max(known)}")
    common = {v for v in values if sum(v in f.volumes for f in labeled) > 0.8 * len(labeled)}
    for f in labeled:
        if len(f.shape) == 3 and (absent := sorted(common - set(f.volumes))) and set(f.volumes) != {0}:
            f.note("warning", "class absent", f"no voxel of class {', '.join(map(str, absent))}")


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
    """Identical images, and those on two sides that are nearly so; returns all pairs."""
    by_name = {f.case: f for f in facts}
    pairs = find_pairs(dict(signatures), lambda a, b: patient(a) == patient(b))
    for pair in pairs:
        first, second = by_name[pair.first], by_name[pair.second]
        across = on_two_sides(first.role, second.role)
        if not across and not pair.identical:
            continue
        what = f"image identical to {pair.second}" if pair.identical else f"image like {pair.second} ({pair.score:.2f})"
        if pair.identical and first.label_voxels and second.label_voxels:
            what += ", label " + ("identical too" if first.label_voxels == second.label_voxels else "different")
        sides = f" across {first.role} and {second.role}" if across else ""
        first.note("error" if across and pair.identical else "warning", "leak" if across else "copy", what + sides)
    return [
        {"first": p.first, "second": p.second, "identical": p.identical, "score": p.score,
         "roles": [by_name[p.first].role, by_name[p.second].role]} for p in pairs
    ]  # fmt: skip


def on_two_sides(role: str, other: str) -> bool:
    """Whether lists part two images."""
    return role != other and "unlisted" not in (role, other)


def check_alike(facts: Sequence[Facts], pairs: Sequence[dict], patient: Callable[[str], str]) -> str:
    """Groups of images that look alike and are of different patients by their names.

    Returns:
        A line in place of them where a group is too large to be a patient; else nothing.
    """
    alike = [
        (p["first"], p["second"])
        for p in pairs
        if not p["identical"] and not on_two_sides(*p["roles"]) and patient(p["first"]) != patient(p["second"])
    ]
    groups = families(alike)
    if groups and too_many(len(groups[0]), len(facts)):
        return f"{len(groups[0])} images look alike, too many for a patient: likeness tells no patients here\n"
    by_name = {f.case: f for f in facts}
    for number, names in enumerate(groups, start=1):
        for name in names:
            text = f"look alike, {len(names)} images of one patient?" + (f" ({number})" if len(groups) > 1 else "")
            by_name[name].note("warning", "alike", text)
    return ""
