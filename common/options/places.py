"""Whether files and folders that a command names are there."""

from __future__ import annotations

import os

from ..errors import InputError
from .containers import inner
from .entries import Entries, is_code, literal
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
        if isinstance(kind, Path) and kind.read and path is not None and not os.path.exists(path):
            raise InputError(f"{entries.origin(id)} {path}: no such {kind.kind}")


def _text(place: object) -> str | None:
    if not isinstance(place, str) or not is_code(place):
        return place if isinstance(place, str) else None
    try:
        return str(literal(place))
    except ValueError:
        return None
