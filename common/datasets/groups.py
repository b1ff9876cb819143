"""Which patient a case belongs to, and splits that keep patients whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..errors import InputError
from .case import ROLES


def grouping(pattern: str | None) -> Callable[[str], str]:
    """Function from a case's name to its patient, the first group of ``pattern``; the name itself without one."""
    try:
        groups = re.compile(pattern or "()").groups
    except re.error as error:
        raise InputError(f"group={pattern!r}: not a regular expression ({error})") from None
    if not groups:
        raise InputError(f"group={pattern!r}: needs a group in parentheses that matches the patient")

    def group_of(case: str) -> str:
        if pattern is None:
            return case
        match = re.search(pattern, case)
        if match is None:
            raise InputError(f"case {case}: does not match the group pattern {pattern!r}")
        return match.group(1)

    return group_of


def patient_of(pattern: str | None) -> Callable[[str], str]:
    """As ``grouping``, except that names which do not match stand alone."""
    group_of = grouping(pattern)

    def patient(name: str) -> str:
        try:
            return group_of(name)
        except InputError:
            return name

    return patient


def split_groups(
    cases: Sequence[str], count: int, group_of: Callable[[str], str], where: str, from_end: bool = False
) -> tuple[list[str], list[str]]:
    """Split after the first ``count`` groups, or before the last ``count``."""
    groups = list(dict.fromkeys(group_of(case) for case in cases))
    if not 0 <= count <= len(groups):
        raise InputError(f"{where}: expected a number between 0 and the {len(groups)} in the list")
    chosen = set(groups[: len(groups) - count if from_end else count])
    return [c for c in cases if group_of(c) in chosen], [c for c in cases if group_of(c) not in chosen]


def check_disjoint(roles: Mapping[str, Sequence[str]], group_of: Callable[[str], str], path: Path) -> None:
    """A case belongs to one list; a patient's cases may be labeled and unlabeled, but not on both sides of a split."""
    side = {"labeled": "training", "unlabeled": "training"}
    for name_of, list_of in ((str, lambda role: role), (group_of, lambda role: side.get(role, role))):
        owner: dict[str, str] = {}
        for role in ROLES:
            for name in map(name_of, roles[role]):
                other = owner.setdefault(name, role)
                if list_of(other) != list_of(role):
                    raise InputError(f"{path}: {name} is in both '{other}' and '{role}'")
