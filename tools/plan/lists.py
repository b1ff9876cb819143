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
    """Settings of ``load_datalist`` or ``load_domains`` with reasons.

    Attributes:
        values: ``labeled``, ``validation`` and ``group``.
        reasons: for them.
        lists: what to write where the data set has no lists.
        domain: of the labeled cases, where there are several.
    """

    values: Mapping[str, object]
    reasons: Mapping[str, str]
    lists: Mapping[str, object] | None = None
    domain: str | None = None

    @property
    def layout(self) -> str:
        """Of ``load_domains``."""
        return "domain_lists" if self.domain else "lists"


@dataclass(frozen=True)
class Wishes:
    """What the user says about the lists; ``None`` leaves it to the plan."""

    labeled: int | None = None
    validation: int | None = None
    group: str | None = None
    seed: int = field(default=1337)
    domain: str | None = None


def assign(listing: Listing, wishes: Wishes, domains: bool = False) -> Roles:
    """Roles from ``splits.json``, or drawn by patient with a seed.

    Raises:
        InputError: where all cases are labeled, there are fewer labels than asked for, or ``splits.json`` has lists of
            several domains and the method takes one (``domains``).
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
    train, domain = listing.lists.get("labeled", listing.lists.get("train")), None
    if isinstance(train, Mapping):
        if not domains:
            raise InputError(
                f"{listing.root}/splits.json: lists of several domains, and this method takes one (method); "
                "python -m tools prepare makes one set of them"
            )
        domain, train = _domain(train, wishes.domain, listing.root)
    if "labeled" not in listing.lists and wishes.labeled is None:
        patients = len({patient_of(group)(name) for name in train or ()})
        values["labeled"] = max(math.floor(SHARE_LABELED * patients), 1)
        where = f"training list of {domain}" if domain else "training list"
        reasons["labeled"] = f"a tenth of the {patients} in the {where}; labeled=N takes another number"
    return Roles(values, reasons, domain=domain)


def _domain(train: Mapping, chosen: str | None, root: Path) -> tuple[str, list[str]]:
    """The labeled domain, by default the first one listed, and its training list."""
    domain = next(iter(train), None) if chosen is None else chosen
    if domain not in train:
        raise InputError(f"{root}/splits.json: domain={domain!r} is none of {', '.join(train) or 'its domains'}")
    return domain, train[domain]


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
