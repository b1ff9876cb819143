"""Types of options that hold others: lists, mappings, and values that may be left out."""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence as AnySequence
from typing import Any

import yaml

from .types import Option, Path, Text, Type, WrongValueError

LONGEST = 100_000  # characters of a list or mapping on a command line


def structure(text: str) -> Any:
    """Lists and mappings of words, from ``[a, b]``, ``(a, b)`` or ``{a: b}``; other text stays as it is.

    Words stay words here: what they mean is a matter of their types.
    """
    text = text.strip()
    if text.startswith("(") and text.endswith(")"):
        text = f"[{text[1:-1].rstrip().rstrip(',')}]"
    if not text.startswith(("[", "{")) or len(text) > LONGEST or text.count("[") + text.count("{") > 1000:
        return text
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, Loader=yaml.BaseLoader)):
            return text  # values that repeat themselves could be endless
        return yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError, ValueError):
        return text


class Optional(Type):
    """A value, or ``null``. ``None`` is null too where it could not be text."""

    def __init__(self, type: Type) -> None:
        self.type, self.words, self.code = type, f"{type.words}, or null", type.code

    def parse(self, value: Any) -> Any:
        if value is None or isinstance(value, str) and value.strip() in ("null", "~"):
            return None
        try:
            return self.type.parse(value)
        except WrongValueError as error:
            if value == "None":
                return None
            raise WrongValueError(str(error) if error.id else f"{error}, or null", error.id, error.part) from None


class Sequence(Type):
    """A list of values of one type.

    Args:
        item: type of the values.
        lengths: how many there may be; any number but none by default.
        one_for_all: a single value stands for as many as the greatest of ``lengths``: 16 for [16, 16, 16].
        order: ``<`` or ``<=``, which must hold between each and the next.
        empty: there may be none.
    """

    def __init__(
        self, item: Type, *lengths: int, one_for_all: bool = False, order: str = "", empty: bool = False
    ) -> None:
        self.item, self.lengths, self.one_for_all = item, lengths, one_for_all
        self.order, self.empty = order, empty
        count = f"{' or '.join(map(str, lengths))} " if lengths else ""
        self.words = f"a list of {count}values, each {item.words}"
        self.words += ", in increasing order" if order else ""
        self.words += "; one value stands for all" if one_for_all else ""

    def parse(self, value: Any) -> list:
        if isinstance(value, str):
            value = structure(value)
        if isinstance(value, str) and "," in value and not takes_text(self.item):
            value = value.split(",")
        if not isinstance(value, AnySequence) or isinstance(value, str):
            if not self.one_for_all:
                raise self.fail()
            value = [value] * max(self.lengths)
        if len(value) not in self.lengths if self.lengths else not (value or self.empty):
            raise self.fail()
        parsed = [self._item(child) for child in value]
        pairs = list(zip(parsed, parsed[1:]))
        if self.order and not all(low < high or (self.order == "<=" and low == high) for low, high in pairs):
            raise self.fail()
        return parsed

    def _item(self, value: Any) -> Any:
        try:
            return self.item.parse(value)
        except WrongValueError:
            raise self.fail() from None


class Either(Type):
    """A value of the first of some types that takes it."""

    def __init__(self, *types: Type) -> None:
        self.types, self.words = types, ", or ".join(type.words for type in types)
        self.code = any(type.code for type in types)

    def parse(self, value: Any) -> Any:
        for type in self.types:
            try:
                return type.parse(value)
            except WrongValueError:
                continue
        raise self.fail()


class Mapping(Type):
    """A mapping with known keys.

    Args:
        options: the keys, each with its type and description.
        component: the mapping is a component of MONAI, whose further arguments are left to it.
    """

    def __init__(self, *options: Option, component: bool = False) -> None:
        self.options, self.component, self.code = {option.name: option for option in options}, component, component
        self.words = "a component" if component else f"a mapping with the keys {', '.join(self.options)}"

    def parse(self, value: Any) -> dict:
        if isinstance(value, str):
            value = structure(value)
        if not isinstance(value, AnyMapping) or not (value if not self.component else "_target_" in value):
            raise self.fail()
        if unknown := [key for key in value if key not in self.options and not self.component]:
            raise WrongValueError(f"only the keys {', '.join(self.options)}", f"#{unknown[0]}", value[unknown[0]])
        return {key: self._value(key, child) for key, child in value.items()}

    def _value(self, key: str, value: Any) -> Any:
        if key not in self.options:
            return value
        try:
            return self.options[key].type.parse(value)
        except WrongValueError as error:
            raise WrongValueError(str(error), f"#{key}{error.id}", error.part if error.id else value) from None


class Named(Type):
    """A mapping from keys that the user chooses, names or numbers, to values of one type."""

    def __init__(self, value: Type, key: Type) -> None:
        self.value, self.key, self.words = value, key, f"a mapping from {key.words} to {value.words}"

    def parse(self, value: Any) -> dict:
        if isinstance(value, str):
            value = structure(value)
        if not isinstance(value, AnyMapping) or not value:
            raise self.fail()
        try:
            return {self.key.parse(name): self.value.parse(child) for name, child in value.items()}
        except WrongValueError:
            raise self.fail() from None


def inner(type: Type, value: Any) -> Type:
    """The type inside optional and alternative ones that a mapping, a list or another value is of."""
    if isinstance(type, Optional):
        return inner(type.type, value) if value is not None else type
    if isinstance(type, Either):
        found = [inner(kind, value) for kind in type.types]
        if isinstance(value, AnyMapping):
            return next((kind for kind in found if isinstance(kind, Mapping)), type)
        if isinstance(value, list):
            return next((kind for kind in found if isinstance(kind, Sequence)), type)
        if isinstance(value, str):
            return next((kind for kind in found if isinstance(kind, Path)), type)
    return type


def takes_text(type: Type) -> bool:
    """Whether a value of the type may be any text, so that the words of a file count as they stand there."""
    if isinstance(type, Optional):
        return takes_text(type.type)
    return any(map(takes_text, type.types)) if isinstance(type, Either) else isinstance(type, (Text, Path))
