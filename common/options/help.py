"""The layers and options of a bundle as a page of text, from its files and tables alone."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .containers import Mapping as MappingType
from .containers import inner
from .entries import is_code
from .layers import read_layer
from .table import Table, table_of
from .types import Option

WIDTH = 110
SECTION = re.compile(r"^# ---- (.+)$")
ENTRY = re.compile(r"^([A-Za-z_]\w*):")
BASES = ("train", "inference", "evaluate")


def help_of(root: Path, layers: Mapping[str, Path]) -> str:
    """What ``python -m tools run <bundle> --help`` prints.

    Args:
        root: folder of the bundle.
        layers: file of each layer that suits it, by name.
    """
    lines = [
        f"usage: python -m tools run {root.name} [layer ...] [--option value ...]",
        "",
        first_comment(layers["train"]),
    ]
    lines += ["", "Layers, on top of train, or of inference (or evaluate) where one of these is named:"]
    width = max(map(len, layers))
    for name, file in layers.items():
        lines += _wrapped(f"  {name:{width}}  ", first_comment(file))
    for base in BASES:
        if base in layers:
            lines += [
                "",
                f"Options of {base}:",
                *_options(layers[base], table_of(root, base)),
            ]
    return "\n".join(
        [*lines, "", "null and true or false as in YAML, lists as [a, b]; text is text, whatever it looks like.", ""]
    )


def first_comment(file: Path) -> str:
    """First sentence of the comment that a configuration file begins with."""
    lines = file.read_text(encoding="utf-8").splitlines()
    block = [line.lstrip("# ") for line in itertools.takewhile(lambda line: line.startswith("#"), lines)]
    return re.split(r"(?<=[a-z)\d]\.) ", " ".join(block), maxsplit=1)[0]


def sections(file: Path) -> Iterator[tuple[str, str]]:
    """Heading and name of each top-level entry of a configuration file."""
    heading = ""
    for line in file.read_text(encoding="utf-8").splitlines():
        if match := SECTION.match(line):
            heading = match[1]
        elif match := ENTRY.match(line):
            yield heading, match[1]


def _options(file: Path, table: Table) -> Iterator[str]:
    content, last = read_layer(file).content, ""
    for heading, name in sections(file):
        if name not in table or heading == "components":
            continue
        if heading != last:
            yield f"  -- {heading}"
            last = heading
        yield from _lines(name, content[name], table[name])


def _lines(name: str, value: Any, option: Option) -> Iterator[str]:
    kind = inner(option.type, value)
    if isinstance(kind, MappingType) and isinstance(value, Mapping):
        yield from _wrapped(f"  --{name}  ", option.description)
        for key, child in value.items():
            if key in kind.options:
                yield from _lines(f"{name}#{key}", child, kind.options[key])
    else:
        yield from _wrapped(f"  --{name}{_default(value)}  ", f"{option.description} [{option.type.words}]")


def _default(value: Any) -> str:
    if is_code(value) or isinstance(value, Mapping) and "_target_" in value:
        return f" as {value[1:]}" if re.fullmatch(r"@[\w#]+", str(value)) else ""
    return f" {_shown(value)}"


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_shown(child)}" for key, child in value.items()) + "}"
    return f"[{', '.join(map(_shown, value))}]" if isinstance(value, list) else str(value)


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=head, subsequent_indent=" " * 8) or [head.rstrip()]
