"""Which cases are labeled, unlabeled and held out: lists of the data set, or drawn ones."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import InputError

from ..cases import Item, Listing
from ..duplicates import patient_of

SHARE_LABELED = 0.1  # of the training patients of a benchmark, where nothing is said
SHARE_VALIDATION = 0.2  # of the labeled patients
ENOUGH = 10  # labeled patients from which on some are held out


@dataclass(frozen=True)
class Roles:
    """Settings of ``load_datalist`` with reasons, and the lists to write where the data set has none."""

    values: Mapping[str, object]
    reasons: Mapping[str, str]
    lists: Mapping[str, object] | None = None


@dataclass(frozen=True)
class Wishes:
    """What the user says about the lists; ``None`` leaves it to the plan."""

    labeled: int | None = None
    validation: int | None = None
    group: str | None = None
    seed: int = field(default=1337)


def assign(listing: Listing, wishes: Wishes) -> Roles:
    """Roles from ``splits.json``, or drawn by patient with a seed.

    Raises:
        InputError: where all cases are labeled, or there are fewer labels than asked for.
    """
    group = wishes.group or (listing.lists or {}).get("group")
    values = {"labeled": wishes.labeled, "validation": wishes.validation, "group": group}
    reasons = {
        "labeled": "as given" if wishes.labeled else "the list 'labeled' of splits.json",
        "validation": "the list of splits.json" if wishes.validation is None else "the last so many, as given",
        "group": "names the patient in a case's name" if group else "every image is a patient of its own",
    }
    if listing.lists is None:
        drawn = _draw(listing, wishes, patient_of(group))
        reasons["labeled"] = f"the list 'labeled' of splits.json: {len(drawn['labeled'])} cases"
        reasons["validation"] = f"the list of splits.json: {len(drawn['validation'])} cases"
        return Roles({**values, "labeled": None, "validation": None}, reasons, drawn)
    train = listing.lists.get("labeled", listing.lists.get("train"))
    if isinstance(train, Mapping):
        raise InputError(f"{listing.root}/splits.json: lists of several domains; python -m tools prepare makes one set")
    if "labeled" not in listing.lists and wishes.labeled is None:
        patients = len({patient_of(group)(name) for name in train or ()})
        values["labeled"] = max(math.floor(SHARE_LABELED * patients), 1)
        reasons["labeled"] = f"a tenth of the {patients} in the training list; labeled=N takes another number"
    return Roles(values, reasons)


def _draw(listing: Listing, wishes: Wishes, patient: Callable[[str], str]) -> dict[str, object]:
    """Lists labeled, unlabeled and validation, by patient; a patient's unlabeled images go where the patient goes."""
    with_label = [item.name for item in listing.items if item.label]
    patients = sorted({patient(name) for name in with_label})
    random.Random(wishes.seed).shuffle(patients)
    held = wishes.validation
    if held is None:
        held = round(SHARE_VALIDATION * len(patients)) if len(patients) >= ENOUGH else 0
    count = len(patients) - held if wishes.labeled is None else wishes.labeled
    if not 1 <= count <= len(patients) - held:
        raise InputError(
            f"{len(patients)} patients have labels: {count} to train on and {held} to validate on is not possible"
        )
    chosen, validation = set(patients[:count]), set(patients[count : count + held])
    lists: dict[str, object] = {
        "labeled": [name for name in with_label if patient(name) in chosen],
        "unlabeled": [
            item.name
            for item in listing.items
            if patient(item.name) not in validation and not (item.label and patient(item.name) in chosen)
        ],
        "validation": [name for name in with_label if patient(name) in validation],
    }
    if not lists["unlabeled"]:
        raise InputError(
            f"{listing.root}: every image has a label; labeled=N labels so many and takes the others as unlabeled"
        )
    return {**lists, "seed": wishes.seed, "origin": "drawn by patient by the plan"}


def file_table(items: list[Item], folder: Path) -> dict[str, dict[str, str]]:
    """Where the files of each case lie, seen from ``folder``: the entry ``files`` of ``splits.json``."""
    table = {}
    for item in items:
        paths = {"image": item.image, **({"label": item.label} if item.label else {})}
        table[item.name] = {key: Path(os.path.relpath(path, folder)).as_posix() for key, path in paths.items()}
    return table
