"""Lists drawn at random: the same held-out cases, another order of the training cases in every draw."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from .case import Case
from .lists import read_lists


def draw_lists(
    cases: Sequence[Case],
    development: float = 0,
    report: float = 0,
    copies: Sequence[tuple[str, str]] = (),
    seed: int = 1337,
    draw: int = 1,
) -> dict[str, list[str]]:
    """Lists ``train``, ``val`` and ``test`` of one draw; ``untouched`` are the cases of an official test list.

    What belongs together, the cases of a patient and copies of an image, stays in one list and next to each other. The
    held-out cases follow from ``seed`` alone and are the same in every draw: ``val`` for choices, ``test`` for figures
    that no choice saw. The order of ``train`` follows from ``seed`` and ``draw``; whoever labels the first ones of a
    domain labels a random choice. Domains are mixed in proportion, so that the first ones of all are stratified.

    Args:
        cases: those of the role ``test`` are left out of the drawing.
        development: share of each domain, or from 1 on number, for ``val``: of patients, where these are known.
        report: likewise for ``test``.
        copies: pairs of names of cases that are (nearly) the same image.
        seed: of what is held out, and with ``draw`` of the order.
        draw: number of the draw, from 1.

    Raises:
        InputError: where nothing would be left to train on.
    """
    drawn = [case for case in cases if case.role != "test"]
    by_domain: dict[str, list[list[str]]] = {}
    domain_of = {case.name: case.domain for case in drawn}
    for group in _groups(drawn, copies):
        by_domain.setdefault(domain_of[group[0]], []).append(group)
    lists: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    ranked = []
    for domain, groups in by_domain.items():
        random.Random(f"{seed} {domain}").shuffle(groups)
        sizes = [_count(share, len(groups)) for share in (report, development)]
        if sum(sizes) >= len(groups):
            where = f"domain {domain}: " if domain else ""
            raise InputError(
                f"{where}development={development} and report={report} leave nothing to train on of {len(groups)}"
            )
        for name, size in zip(("test", "val"), sizes):
            lists[name] += sorted(name for group in groups[:size] for name in group)
            groups = groups[size:]
        random.Random(f"{seed} {domain} {draw}").shuffle(groups)
        ranked += [((rank + 0.5) / len(groups), domain, group) for rank, group in enumerate(groups)]
    lists["train"] = [name for *_, group in sorted(ranked) for name in group]
    untouched = [case.name for case in cases if case.role == "test"]
    return {**lists, **({"untouched": untouched} if untouched else {})}


def _count(share: float, groups: int) -> int:
    return round(share * groups) if share < 1 else round(share)


def _groups(cases: Sequence[Case], copies: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Names of cases that belong together, each group sorted, in the order of their first names."""
    names = [case.name for case in cases]
    owner = {name: name for name in names}

    def root(name: str) -> str:
        while owner[name] != name:
            name = owner[name]
        return name

    first: dict[str, str] = {}
    for case in cases:
        owner[root(case.name)] = root(first.setdefault(case.owner, case.name))
    for one, other in copies:
        if one in owner and other in owner:
            owner[root(one)] = root(other)
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        groups.setdefault(root(name), []).append(name)
    return list(groups.values())


def by_lists(cases: Sequence[Case], path: Path) -> list[Case]:
    """The cases that the lists in a file name, with its roles and, within each role, in its order.

    Raises:
        InputError: for a file that is missing or malformed, or names a case that there is not.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file of lists (splits); python -m tools draw writes them")
    lists = read_lists(path).require_one_domain()
    known = {case.name: case for case in cases}
    listed: dict[str, Case] = {}
    for role in ("train", "validation", "test"):
        for name in lists.names(role):
            if name not in known:
                raise InputError(f"{path}: key '{lists.keys[role]}' names {name}, which is no case of this folder")
            if name in listed:
                raise InputError(f"{path}: {name} is in both '{listed[name].role}' and '{role}'")
            listed[name] = replace(known[name], role=role)
    order = {case.domain: number for number, case in reversed(list(enumerate(cases)))}
    return sorted(listed.values(), key=lambda case: order[case.domain])
