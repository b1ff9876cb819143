"""Expressions and references of a file that a user brings, checked without running anything."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from ..errors import InputError
from .entries import REFERENCE, Entries, children, is_code, references, split_id
from .layers import Layer
from .names import hint


def check_code(layer: Layer, entries: Entries) -> None:
    """Raise ``InputError`` for an expression that is no Python, and for a reference that leads nowhere.

    Args:
        layer: the file.
        entries: the whole configuration with the file in it.
    """
    for key, text in _leaves(layer.content, ""):
        where = f"{layer.file}: {key}"
        if text.startswith("$"):
            _check_syntax(text, where)
        for id in references(text):
            _check_reference(id, entries, where)


def _leaves(node: Any, key: str) -> Iterator[tuple[str, str]]:
    for name, child in children(node).items():
        below = f"{key}#{name}" if key else name
        if is_code(child):
            yield below, child
        yield from _leaves(child, below)


def _check_syntax(text: str, where: str) -> None:
    try:
        ast.parse(REFERENCE.sub("reference", text[1:].strip()))
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise InputError(f"{where} {text[:80]}: not a Python expression ({reason})") from None


def _check_reference(id: str, entries: Entries, where: str) -> None:
    node, parts = entries.content, split_id(id)
    for depth, part in enumerate(parts):
        if is_code(node):
            return  # what it stands for decides
        inside = children(node)
        if part not in inside:
            close = hint(part, inside, parts[:depth])
            raise InputError(f"{where}: @{id} refers to nothing in the configuration{close}")
        node = inside[part]
