"""Mutants of configuration files: numbers doubled or set to 0, truth values negated; also in their expressions."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from .mutant import Mutant

NUMBER = re.compile(r"(?<![\w.#@'\"\[-])\d+(?:\.\d+)?(?![\w.'\"\]])")
SPEED = {"progress", "val_handlers", "print_lr", "iteration_log", "check_every"}


def mutants(path: str, source: str) -> Iterator[Mutant]:
    """Mutants of a file."""
    for key, node in _scalars(yaml.compose(source), ""):
        if key in SPEED or node.start_mark.buffer is None:
            continue
        start, end, line = node.start_mark.index, node.end_mark.index, node.start_mark.line + 1
        kind = node.tag.rpartition(":")[2]
        if kind == "bool":
            yield Mutant(path, "truth value", start, end, "false" if node.value in ("true", "True") else "true", line)
        elif kind in ("int", "float") and _twice(node.value) is not None:
            yield Mutant(path, "doubled", start, end, _twice(node.value), line)
            if float(node.value):
                yield Mutant(path, "zeroed", start, end, "0.0" if kind == "float" else "0", line)
        elif kind == "str" and node.value.startswith("$"):
            for found in NUMBER.finditer(source, start, end):
                if _twice(found.group()) is not None:
                    yield Mutant(path, "in an expression", *found.span(), _twice(found.group()), line)


def _twice(text: str) -> str | None:
    try:
        return str(2 * int(text) or 1)
    except ValueError:
        value = 2 * float(text)
        return None if 0 < abs(value) < 2e-6 else str(value or 1.0)


def _scalars(node: yaml.Node, key: str) -> Iterator[tuple[str, yaml.ScalarNode]]:
    if isinstance(node, yaml.MappingNode):
        for name, child in node.value:
            yield from _scalars(child, name.value)
    elif isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _scalars(child, key)
    else:
        yield key, node
