"""Configurations as written: files and options merged as MONAI merges them, with the place each entry comes from."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import InputError

REFERENCE = re.compile(r"@(\w+(?:(?:#|::)\w+)*)", re.ASCII)
NAME = re.compile(r"[^\W_]\w*")  # of a key that means nothing more to MONAI
MAGIC = re.compile("[$@%#]")  # of MONAI: expression, reference, macro, separator of ids


def split_id(id: str) -> list[str]:
    """Parts of an id: ``sam#kind`` and ``sam::kind`` are the same."""
    return id.replace("#", "::").split("::")


def is_code(value: Any) -> bool:
    """Whether MONAI resolves a value instead of taking it as it stands."""
    return isinstance(value, str) and value.startswith(("$", "@", "%"))


def holds_code(value: Any) -> bool:
    """Whether there is any such value in nested lists and mappings."""
    if isinstance(value, Mapping):
        return "_target_" in value or any(map(holds_code, value.values()))
    return any(map(holds_code, value)) if isinstance(value, (list, tuple)) else is_code(value)


def references(value: Any) -> Iterator[str]:
    """Ids that a value refers to."""
    if isinstance(value, Mapping):
        for child in value.values():
            yield from references(child)
    elif isinstance(value, (list, tuple)):
        for child in value:
            yield from references(child)
    elif isinstance(value, str) and value[:1] in "$@%":
        yield from REFERENCE.findall(f"@{value[1:]}" if value[:1] == "%" else value)


def quoted(value: Any) -> Any:
    """The value as MONAI must get it to take it as it stands: text with a special character becomes an expression.

    So does a mapping whose keys could be taken for ids or for those of a component.
    """
    if isinstance(value, dict) and all(isinstance(k, int) or (isinstance(k, str) and NAME.fullmatch(k)) for k in value):
        return {key: quoted(child) for key, child in value.items()}
    if isinstance(value, list):
        return [quoted(child) for child in value]
    if isinstance(value, dict) or (isinstance(value, str) and MAGIC.search(value)):
        return "$" + MAGIC.sub(lambda sign: f"\\x{ord(sign[0]):02x}", repr(value))
    return value


def literal(value: str) -> Any:
    """What an expression stands for that is nothing but a Python literal; ``ValueError`` for any other value."""
    try:
        return ast.literal_eval(value[1:]) if value.startswith("$") else ast.literal_eval("not a literal")
    except (SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(str(error)) from None


def is_literal(value: Any) -> bool:
    """Whether a value is an expression that is nothing but a Python literal: quoted text, as a rule."""
    try:
        literal(value if isinstance(value, str) else "")
    except ValueError:
        return False
    return True


class Entries:
    """Merged configuration files and options.

    Args:
        content: of the first file.
        origin: what messages call it.
    """

    def __init__(self, content: Mapping[str, Any], origin: str) -> None:
        self.first, self.content = dict(content), _copy(content)
        self.first_origin = origin
        self.origins: dict[str, str] = {}
        self.changed: dict[str, Any] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self.content)

    def __contains__(self, id: str) -> bool:
        try:
            self.written(id)
        except KeyError:
            return False
        return True

    def written(self, id: str) -> Any:
        """The entry as it stands; ``KeyError`` where there is none."""
        node = self.content
        for part in split_id(id) if id else ():
            node = children(node)[part]
        return node

    def origin(self, id: str) -> str:
        """Where the entry, or the part of it that was set last, comes from: ``--seed`` or ``mine.yaml: seed``."""
        parts = split_id(id)
        for depth in range(len(parts), 0, -1):
            if place := self.origins.get("::".join(parts[:depth])):
                return place if place.startswith("--") and depth == len(parts) else f"{place}{_rest(parts[depth:])}"
        return f"{self.first_origin}: {'#'.join(parts)}"

    def merge(self, content: Mapping[str, Any], file: str) -> None:
        """Put a file on top: a key may lead to a nested entry, and ``+`` before it adds to a mapping or list."""
        for key, value in content.items():
            self.set(key, _copy(value), f"{file}: {key}")

    def give(self, name: str, value: Any, origin: str) -> None:
        """Set an option of the command line, in the form that MONAI must be given."""
        self.set(name, value, origin)
        self.changed[name.replace("#", "::")] = value

    def set(self, key: str, value: Any, origin: str) -> None:
        """Set one entry.

        Raises:
            InputError: for an id in something that has no parts, and for ``+`` before what cannot be added.
        """
        add, id = key.startswith("+"), key.lstrip("+")
        *above, last = split_id(id)
        try:
            node = self.written("::".join(above)) if above else self.content
            known = children(node).get(last)
        except KeyError:
            raise InputError(f"{origin}: no such entry in the configuration") from None
        if not isinstance(node, (dict, list)):
            raise InputError(f"{origin}: {'#'.join(above)} has no parts")
        if add and known is not None:
            value = self._sum(known, value, origin)
        if isinstance(node, dict):
            node[last] = value
        else:
            node[int(last)] = value
        self.origins[id.replace("#", "::")] = origin
        for below in [place for place in self.changed if place.startswith(f"{id.replace('#', '::')}::")]:
            del self.changed[below]

    def _sum(self, known: Any, value: Any, origin: str) -> Any:
        if isinstance(known, dict) and isinstance(value, dict):
            return {**known, **value}
        if isinstance(known, list) and isinstance(value, list):
            return [*known, *value]
        raise InputError(f"{origin}: + adds a mapping to a mapping or a list to a list")

    def replace(self, id: str, value: Any) -> None:
        """Let an entry be a value in its canonical form; ``changed`` holds all of them as MONAI takes them."""
        *above, last = split_id(id)
        node = self.written("::".join(above)) if above else self.content
        node[last if isinstance(node, dict) else int(last)] = quoted(value)
        self.changed["::".join([*above, last])] = quoted(value)


def children(node: Any) -> dict[str, Any]:
    if isinstance(node, Mapping):
        return dict(node)
    return {str(i): child for i, child in enumerate(node)} if isinstance(node, list) else {}


def _copy(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _copy(child) for key, child in node.items()}
    return [_copy(child) for child in node] if isinstance(node, (list, tuple)) else node


def _rest(parts: list[str]) -> str:
    return "".join(f"#{part}" for part in parts)
