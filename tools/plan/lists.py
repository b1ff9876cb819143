"""Which cases are labeled, unlabeled and held out: lists of the data set, or drawn ones."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from common.datasets import Case, Listing
from common.datasets.case import plain_paths
from common.datasets.finder import Finder
from common.errors import InputError
from common.files import read_json
from common.groups import patient_of, with_known

from .patients import Alike

SHARE_LABELED = 0.1  # of the training patients of a benchmark, where nothing is said
SHARE_VALIDATION = 0.2  # of the labeled patients
ENOUGH = 10  # labeled patients from which on some are held out
ORIGIN = "drawn by patient by the plan"
NO_GROUP = "none"


@dataclass(frozen=True)
class Roles:
    """Settings of ``load_datalist`` or ``load_domains`` with reasons.

    Attributes:
        values: ``labeled``, ``validation`` and ``group``.
        reasons: for them.
        note: a line about images taken for one patient, where there are any.
        lists: what to write where the data set has no lists.
        domain: of the labeled cases, where there are several.
    """

    values: Mapping[str, Any]
    reasons: Mapping[str, str]
    lists: Mapping[str, Any] | None = None
    domain: str | None = None
    note: str = ""

    @property
    def supervised(self) -> bool:
        """Whether lists were drawn in which no image is unlabeled."""
        return self.lists is not None and not self.lists["unlabeled"]

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


def assign(listing: Listing, wishes: Wishes, domains: bool = False, alike: Alike | None = None) -> Roles:
    """Roles from ``splits.json``, or drawn by patient with a seed.

    A patient is what ``wishes.group`` or the lists' template says; else what a word for frames in the names says, and
    images that look ``alike`` are of one patient too.

    Raises:
        InputError: where there are fewer labels than asked for, or ``splits.json`` has lists of several domains and the
            method takes one (``domains``).
    """
    named, stated = listing.lists.group if listing.lists else None, wishes.group
    alike = alike or Alike.of([case.name for case in listing.cases])
    found = None if stated or named else alike.group
    together = listing.lists.patients if listing.lists else {} if stated else alike.patients
    group = None if stated == NO_GROUP else stated or named or found
    values = {"labeled": wishes.labeled, "validation": wishes.validation, "group": group}
    reasons = {
        "labeled": "as given" if wishes.labeled else "the list 'labeled' of splits.json",
        "validation": "the list of splits.json" if wishes.validation is None else "the last so many, as given",
        "group": (("found in the names" + alike.how) if group == found else "names the patient in a case's name")
        if group
        else "every image is a patient of its own",
    }
    if together:
        count = len(set(together.values()))
        reasons["group"] += f"; {len(together)} that look alike are of {count} (patients in splits.json)"
    if listing.lists is None:
        drawn = _draw(listing, wishes, with_known(patient_of(group), together))
        drawn |= {"patients": dict(together)} if together else {}
        drawn |= {"group": group} if group else {}
        reasons["labeled"] = f"the list 'labeled' of splits.json: {len(drawn['labeled'])} cases"
        reasons["validation"] = f"the list of splits.json: {len(drawn['validation'])} cases"
        return Roles({**values, "labeled": None, "validation": None}, reasons, drawn, note=alike.told(bool(stated)))
    lists, domain = listing.lists, None
    role = "labeled" if "labeled" in lists.roles else "train"
    train = lists.names(role)
    if lists.by_domain:
        if not domains:
            raise InputError(
                f"{lists.path}: lists of several domains, and this method takes one (method); "
                "python -m tools prepare makes one set of them"
            )
        domain, train = _domain(lists.roles.get(role, {}), wishes.domain, listing.root)
    elif wishes.domain is not None:
        raise InputError(f"--domain {wishes.domain}: the lists of {lists.path} are of one domain; leave it out")
    if role == "train" and wishes.labeled is None:
        patient = with_known(patient_of(group), together)
        patients = len({patient(name) for name in train})
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


def _draw(listing: Listing, wishes: Wishes, patient: Callable[[str], str]) -> dict[str, Any]:
    """Lists labeled, unlabeled and validation, by patient; a patient's unlabeled images go where the patient goes."""
    open_to_all = [case for case in listing.cases if case.role in ("train", "unlisted")]
    with_label = [case.name for case in open_to_all if case.label]
    patients = sorted({patient(name) for name in with_label})
    random.Random(wishes.seed).shuffle(patients)
    held = wishes.validation
    if held is None:
        listed = any(case.role == "validation" for case in listing.cases)
        held = round(SHARE_VALIDATION * len(patients)) if len(patients) >= ENOUGH and not listed else 0
    if not patients:
        first = f"python -m tools check {listing.root} --first 4"
        raise InputError(f"{listing.root}: no image has a label; {first} names those to label first")
    count = len(patients) - held if wishes.labeled is None else wishes.labeled
    if not 1 <= count <= len(patients) - held:
        raise InputError(
            f"{len(patients)} patients have labels: {count} to train on and {held} to validate on is not possible"
        )
    chosen, validation = set(patients[:count]), set(patients[count : count + held])
    lists: dict[str, Any] = {
        "labeled": [name for name in with_label if patient(name) in chosen],
        "unlabeled": [
            case.name
            for case in open_to_all
            if patient(case.name) not in validation and not (case.label and patient(case.name) in chosen)
        ],
        "validation": [name for name in with_label if patient(name) in validation],
    }
    for role in ("validation", "test"):
        if fixed := [case.name for case in listing.cases if case.role == role]:
            lists[role] = [*lists.get(role, []), *fixed]
    return {**lists, "seed": wishes.seed, "origin": ORIGIN, "wishes": asdict(wishes)}


def drawn_anew(listing: Listing, wishes: Wishes, overwrite: bool = False, redraw: bool = False) -> Listing:
    """The listing without lists that an earlier plan drew, where other ones are asked for now (or ``redraw``).

    Raises:
        InputError: where somebody has changed these lists since, unless they may be overwritten, and for ``redraw`` of
            lists that no plan drew.
    """
    lists = listing.lists
    if redraw and lists is not None and lists.origin != ORIGIN:
        raise InputError(f"{lists.path}: not drawn by a plan, so --redraw leaves it; move it away to have lists drawn")
    if lists is None or lists.origin != ORIGIN or (wishes == Wishes() and not redraw):
        return listing
    bare = replace(listing, lists=None, cases=[replace(case, role="unlisted") for case in listing.cases])
    if overwrite:
        return bare
    content = read_json(lists.path, "it should list the cases")
    before = Wishes(**content.get("wishes", {}))
    alike = Alike.of([case.name for case in bare.cases], lists.patients, lists.group)
    drawn = assign(bare, before, alike=alike).lists or {}
    if any(drawn.get(key) != content.get(key) for key in {*drawn, *content} - {"files", "group"}):
        raise InputError(f"{lists.path}: was changed since a plan drew it; overwrite draws it anew, or edit it further")
    return bare


def found_by_name(cases: Sequence[Case], folder: Path) -> bool:
    """Whether the files of all cases are those that their names lead to in ``folder``."""
    finder = Finder(folder)
    try:
        return all(finder.case(case.name, case.role, bool(case.labels)) == case for case in cases)
    except InputError:
        return False


def file_table(cases: list[Case], folder: Path) -> dict[str, dict[str, str | list[str]]]:
    """Where the files of each case lie, seen from ``folder``: the entry ``files`` of ``splits.json``."""

    def seen(paths: Sequence[Path]) -> str | list[str]:
        return plain_paths([PurePosixPath(Path(os.path.relpath(path, folder)).as_posix()) for path in paths])

    files = {case.name: {"image": (case.image,), "label": case.labels} for case in cases}
    return {name: {key: seen(paths) for key, paths in parts.items() if paths} for name, parts in files.items()}
