"""Published lists of cases, and seeded ones where there are none."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from common.datasets.lists import read_lists
from common.datasets.sides import check_disjoint

from .conversion import Conversion, Dataset

FOLDER = Path(__file__).parent / "published"
KEYS = {"train": "train", "val": "validation", "test": "test"}


def published(name: str) -> dict[str, list[str]]:
    """The lists train, (val,) test of a benchmark, in their published order."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def by_list(
    cases: Iterable[Conversion], lists: Mapping[str, Sequence[str]], key_of: Callable[[Conversion], str]
) -> tuple[list[Conversion], list[str]]:
    """Cases in the order of the lists, each with its split, those in no list last; and the names without a case."""
    found: dict[str, list[Conversion]] = {}
    for case in cases:
        found.setdefault(key_of(case), []).append(case)
    ordered, missing = [], []
    for key, split in KEYS.items():
        for name in lists.get(key, ()):
            if name in found:
                ordered += [replace(case, split=split) for case in found.pop(name)]
            else:
                missing.append(name)
    return [*ordered, *(case for rest in found.values() for case in rest)], missing


def kept(dataset: Dataset, path: Path) -> Dataset:
    """The data set with the lists of its source's ``splits.json``, and the list ``labeled`` where it has one.

    Args:
        dataset: cases without a label have the split train, the others none, as before drawing.
        path: of the file; a case that a list other than ``unlabeled`` or ``train`` names needs a label.

    Raises:
        InputError: for malformed lists or a case in two of them.
    """
    lists = read_lists(path).require_one_domain()
    held_out = {"validation": lists.names("validation"), "test": lists.names("test")}
    own = "labeled" in lists.roles
    first, unlabeled = lists.names("labeled" if own else "train"), lists.names("unlabeled") if own else []
    check_disjoint({"labeled": first, "unlabeled": unlabeled, **held_out}, str, path)
    needed = {name: key for key, names in held_out.items() for name in names}
    needed |= dict.fromkeys(lists.names("labeled"), "labeled")
    without = {case.name for case in dataset.cases if case.split == "train" and case.name in needed}
    broken = {name: f"{path}: the list '{needed[name]}' names {name}, which has no label" for name in without}
    cases = [replace(case, split=None) for case in dataset.cases if case.name not in without]
    order = {"train": [*first, *unlabeled], "val": held_out["validation"], "test": held_out["test"]}
    cases, missing = by_list(cases, order, lambda case: case.name)
    missing = [name for name in missing if name not in without and name not in dataset.broken]
    return replace(
        dataset,
        cases=cases,
        broken={**dataset.broken, **broken},
        missing=missing,
        origin="lists of the source" + (f" ({lists.origin})" if lists.origin else ""),
        labeled=frozenset(first) if own else None,
    )


def draw(groups: Sequence[str], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """A split for every group (patient), drawn at random: ``{"validation": 0.1, "test": 0.2}``, the rest is train.

    The order of ``groups`` does not matter; equal seeds give equal splits.
    """
    shuffled = sorted(set(groups))
    random.Random(seed).shuffle(shuffled)
    split_of = dict.fromkeys(shuffled, "train")
    start = 0
    for split, share in shares.items():
        count = round(share * len(shuffled))
        split_of |= dict.fromkeys(shuffled[start : start + count], split)
        start += count
    return split_of


def drawn(dataset: Dataset, test: float, seed: int) -> Dataset:
    """The data set with splits drawn by patient, if it has none; the order of its training list is drawn as well.

    Cases that come with the split train (unlabeled ones) stay there, or drop out if their patient is drawn for test.
    """
    if dataset.origin is not None:
        return dataset
    split_of = draw([case.owner for case in dataset.cases if case.split is None], {"test": test}, seed)
    order = {name: number for number, name in enumerate(split_of)}
    cases = []
    for case in sorted(dataset.cases, key=lambda case: order.get(case.owner, len(order))):
        split = split_of.get(case.owner, "train")
        cases.append(replace(case, split=None if case.split == "train" and split != "train" else split))
    return replace(dataset, cases=cases, origin=f"drawn by patient with seed {seed}")
