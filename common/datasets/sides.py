"""The sides of a split keep patients whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..errors import InputError
from .case import ROLES


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
