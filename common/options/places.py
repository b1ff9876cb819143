"""Whether files and folders that a command names are there."""

from __future__ import annotations

import os
from typing import Any

from ..errors import InputError
from ..wheels import require_installed
from .containers import inner
from .entries import Entries, is_code, literal, split_id
from .types import Option, Path


def require_place(entries: Entries, option: Option | None, id: str) -> None:
    """Raise ``InputError`` where an entry names a file or folder that is to be read and is not there.

    What only MONAI can tell, a place in an expression, is left to whoever reads it.
    """
    if option is None or id not in entries:
        return
    value = entries.written(id)
    for place in value if isinstance(value, list) else [value]:
        kind, path = inner(option.type, place), _text(place)
        if not isinstance(kind, Path) or not kind.read or path is None or _left_out(entries, kind, id):
            continue
        if path in kind.named:
            require_installed(path, entries.origin(id))
        elif not os.path.exists(path):
            raise InputError(f"{entries.origin(id)} {path}: no such {kind.kind}")


def _left_out(entries: Entries, kind: Path, id: str) -> bool:
    """Whether the option beside this one has the value with which nothing is read."""
    if kind.unless is None:
        return False
    beside, value = kind.unless
    other = "::".join([*split_id(id)[:-1], beside])
    return other in entries and entries.written(other) == value


def _text(place: Any) -> str | None:
    if not isinstance(place, str) or not is_code(place):
        return place if isinstance(place, str) else None
    try:
        return str(literal(place))
    except ValueError:
        return None
