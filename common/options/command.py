"""Command lines as they were typed: words, before anything takes them for numbers, lists or code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import InputError
from .check import option_of
from .containers import structure
from .entries import quoted
from .types import Boolean

NAME = re.compile(r"--[A-Za-z_+]")
LITERAL = re.compile(r"[+-]?\d+|[+-]?(\d+\.\d*|\.\d+|\d+)([eE][+-]?\d+)?|True|False|None|true|false|null", re.ASCII)
FLAG = object()  # stands behind a name that has no value


@dataclass
class Command:
    """The words of a command line: those before and between the options, and the options by name."""

    words: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, arguments: Sequence[str]) -> Command:
        """``--name value``, ``--name=value``, or ``--name`` alone; of an option given twice the last counts."""
        command, waiting = cls(), list(arguments)
        while waiting:
            word = waiting.pop(0)
            if not NAME.match(word):
                command.words.append(word)
                continue
            name, equals, text = word[2:].partition("=")
            value: Any = text
            if not equals:
                value = waiting.pop(0) if waiting and not NAME.match(waiting[0]) else FLAG
            command.options[_underscored(name)] = value
        return command


def _underscored(name: str) -> str:
    return name.replace("-", "_")


def canonical(name: str, value: Any, table: Mapping[str, Any], quote: bool = True) -> Any:
    """Value of an option in its canonical form, with ``quote`` as MONAI must get it.

    A word for an option of the table is read by its type, and text of it is never code. Words for anything else, the
    arguments of components, are read as Python literals; one that begins with ``$``, ``@`` or ``%`` is code there.

    Raises:
        InputError: for a value that is not of the option's type, and for a name without a value.
    """
    option = option_of(table, name)
    if value is FLAG:
        if option is not None and isinstance(option.type, Boolean):
            return True
        raise InputError(f"--{name}: expected {option.type.words if option else 'a value'} behind it")
    if option is None:
        return plain(value)
    parsed = option.parse(value, f"--{name}")
    return quoted(parsed) if quote and not option.type.code else parsed


def plain(value: Any) -> Any:
    """A word as a Python or YAML literal, with words inside lists and mappings read alike; anything else as it is."""
    if isinstance(value, str):
        text = value.strip()
        if LITERAL.fullmatch(text) and len(text) < 40:
            constants = {"true": True, "false": False, "none": None, "null": None}
            if text.lower() in constants:
                return constants[text.lower()]
            return int(text) if text.lstrip("+-").isdigit() else float(text)
        found = structure(text)
        return value if isinstance(found, str) else plain(found)
    if isinstance(value, Mapping):
        return {key: plain(child) for key, child in value.items()}
    return [plain(child) for child in value] if isinstance(value, (list, tuple)) else value
