"""Images that belong together: near-duplicates in groups, and the template of names that tells their patients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from common.errors import InputError
from common.groups import grouping

TEMPLATES = ("{patient}/*", "{patient}_*", "{patient}-*", "{patient}_{number}", "{patient}-{number}")
FRAMES = ("frame", "slice", "time", "phase", "t", "z")  # words before the number of an image of a patient
ENOUGH = 0.8  # of the pairs of images alike that a template must keep together
FEWEST = 3  # pairs that say anything
CHANCE = 0.2  # of any two images to be of one patient: above, the names tell no patients

MOST = 0.5  # of all images in one group: above, likeness is that of the kind of image and tells no patients
SEVERAL = 6  # images from which on that can be said


def too_many(alike: int, images: int) -> bool:
    """Whether so many images alike, of so many, are more than a patient has."""
    return images >= SEVERAL and alike > MOST * images


def families(pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Names joined by pairs, each group in order, the largest first."""
    group_of: dict[str, list[str]] = {}
    for one, other in pairs:
        joined = group_of.get(one, [one])
        more = group_of.get(other, [other])
        if joined is not more:
            joined = joined + more
        for name in joined:
            group_of[name] = joined
    unique = {id(group): sorted(group) for group in group_of.values()}
    return sorted(unique.values(), key=lambda group: (-len(group), group))


def group_by_names(names: Sequence[str]) -> str | None:
    """A template that all names fit, in which a word for frames or slices stands before a number; or ``None``."""
    for word in FRAMES:
        for template in (f"{{patient}}{sign}{spelled}{{number}}" for sign in "_-" for spelled in (word, word.title())):
            patient = grouping(template)
            try:
                owners = {patient(name) for name in names}
            except InputError:
                continue
            if 1 < len(owners) < len(names):
                return template
    return None


def suggest_group(names: Sequence[str], pairs: Sequence[tuple[str, str]]) -> str | None:
    """A template of names that keeps a patient's images together; ``None`` where there is none.

    The names may say so themselves; else it is one under which pairs of images alike are of one patient, of those that
    keep as many together the one with the most patients.

    Args:
        names: of all images.
        pairs: of images alike.
    """
    if named := group_by_names(names):
        return named
    if len(pairs) < FEWEST:
        return None
    best: tuple[float, int, str] | None = None
    for template in TEMPLATES:
        patient = grouping(template)
        try:
            owners = {name: patient(name) for name in names}
        except InputError:
            continue
        sizes = Counter(owners.values())
        kept = sum(owners[one] == owners[other] for one, other in pairs) / len(pairs)
        chance = sum(size * (size - 1) for size in sizes.values()) / (len(names) * (len(names) - 1))
        if kept >= ENOUGH and 0 < chance < CHANCE and (best is None or (kept, len(sizes)) > best[:2]):
            best = kept, len(sizes), template
    return best[2] if best else None
