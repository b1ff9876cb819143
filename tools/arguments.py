"""The words of a command line as the arguments of a verb, each read by the annotation of its parameter."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any

from common.errors import InputError
from common.options.command import FLAG, Command
from common.options.containers import Named, Optional, structure
from common.options.containers import Sequence as ListOf
from common.options.names import hint
from common.options.types import Boolean, Integer, Number, Type, WrongValueError

SHORT = re.compile(r"-[^\d.]")  # what looks like an option and is none


class Word(Type):
    """Any text, a path or a name."""

    words = "text"

    def parse(self, value: Any) -> str:
        if not isinstance(value, str) or not value.strip():
            raise self.fail()
        return value


class OneOrMore(Type):
    """A value, or a list of them: ``a``, ``a,b`` or ``[a, b]``; what is there as a file is one word.

    Args:
        item: type of the values.
        always: a single value is a list of one.
    """

    def __init__(self, item: Type, always: bool = False) -> None:
        self.item, self.always, self.words = item, always, f"{item.words}, or a list of such"

    def parse(self, value: Any) -> Any:
        found = structure(value) if isinstance(value, str) and not os.path.exists(value) else value
        if isinstance(found, str) and "," in found and not os.path.exists(found):
            found = [word.strip() for word in found.split(",")]
        found = list(found) if isinstance(found, tuple) else found
        found = [found] if self.always and not isinstance(found, list) else found
        try:
            return [self.item.parse(part) for part in found] if isinstance(found, list) else self.item.parse(found)
        except WrongValueError:
            raise self.fail() from None


PLAIN: dict[str, Type] = {"str": Word(), "int": Integer(), "float": Number(), "bool": Boolean()}


def type_of(annotation: str) -> Type:
    """The type that an annotation of a verb says: ``int | None``, ``str | Sequence[str]``, ``Mapping[str, str]``."""
    return _type(ast.parse(annotation, mode="eval").body)


def _type(node: ast.expr) -> Type:
    if isinstance(node, ast.BinOp):
        parts = list(_alternatives(node))
        found = [_type(part) for part in parts if not _is_none(part)]
        value = found[0] if len(found) == 1 else OneOrMore(next(k for k in found if not isinstance(k, OneOrMore)))
        return Optional(value) if any(map(_is_none, parts)) else value
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        inside = node.slice.elts[-1] if isinstance(node.slice, ast.Tuple) else node.slice
        nested = isinstance(inside, ast.Subscript)
        lists = ListOf(_type(inside)) if nested else OneOrMore(_type(inside), always=True)
        return Named(_type(inside), Word()) if node.value.id == "Mapping" else lists
    return PLAIN[ast.unparse(node)]


def _alternatives(node: ast.expr) -> Iterable[ast.expr]:
    if isinstance(node, ast.BinOp):
        yield from _alternatives(node.left)
        yield node.right
    else:
        yield node


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def taken(name: str, function: Callable, words: Sequence[str]) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """The arguments of a verb that the words of a command line say, all of them, before anything is done.

    Text is text, whatever it looks like; of an option given twice the last counts. Options that the verb reads itself
    (``**options``) stay words, one without a word behind it is true.

    Args:
        name: of the verb, for messages.
        function: with the verb's signature, whose annotations are text.
        words: behind the verb.

    Raises:
        InputError: for an option that the verb does not have, a word too many, an argument that is missing, and a value
            of another type.
    """
    typed, form = Command.of(words), signature(function)
    parameters = form.parameters
    named = {key: p for key, p in parameters.items() if p.kind in (Parameter.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    told = f"there are {', '.join(parameters)}"
    free = any(p.kind is Parameter.VAR_KEYWORD for p in parameters.values())
    for word in typed.words:
        if SHORT.match(word):
            raise InputError(f"{word}: no such option of {name}; {told}")
    for option in typed.options:
        if option not in named and not free:
            raise InputError(f"--{option}: no such option of {name}; {told}{hint(option, list(parameters))}")
    try:
        bound = form.bind(*typed.words, **typed.options)
    except TypeError as error:
        raise InputError(f"{name}: {error}; {told}") from None
    for key, value in bound.arguments.items():
        parameter = parameters[key]
        if parameter.kind is Parameter.VAR_KEYWORD:
            bound.arguments[key] = {option: True if word is FLAG else word for option, word in value.items()}
        elif parameter.kind is not Parameter.VAR_POSITIONAL:
            given = value if value == parameter.default else read_as(str(parameter.annotation), value, f"--{key}")
            bound.arguments[key] = given
    return bound.args, bound.kwargs


def read_as(annotation: str, value: Any, given: str) -> Any:
    """A word as its annotation says; ``InputError`` that calls it ``given`` for another value."""
    kind = type_of(annotation)
    if value is FLAG and isinstance(kind, Boolean):
        return True
    if value is FLAG:
        raise InputError(f"{given}: expected {kind.words} behind it")
    try:
        return kind.parse(value)
    except WrongValueError as error:
        raise InputError(f"{given} {value}: expected {error}") from None
