"""The README of a bundle: its released text, its sections and its commands."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from monai.bundle import scripts

from common.errors import InputError
from common.options import check_ids

from .figures import performance

SECTIONS = ("Model Overview", "Data", "Training configuration", "Performance", "Resources", "MONAI Bundle Commands",
            "Limitations", "Citation", "References", "License")  # fmt: skip
HEADING = re.compile(r"^#{1,2} (.+?) *$", re.MULTILINE)
BLOCK = re.compile(r"```bash\n(.*?)```", re.DOTALL)


def released_readme(text: str, summary: Mapping | None, values: Mapping[str, Any]) -> str:
    """A card with its commands and the figures of its weights."""
    templates = Environment(loader=PackageLoader("tools"), undefined=StrictUndefined, keep_trailing_newline=True)
    commands = templates.get_template("commands.md").render(**values)
    text = _replaced(text, "MONAI Bundle Commands", lambda old: "\n" + commands + "\n")
    return _replaced(text, "Performance", lambda old: "\n" + performance(summary) + "\n")


def _replaced(text: str, title: str, change) -> str:
    """The text with the body of one section changed."""
    headings = list(HEADING.finditer(text))
    for this, following in zip(headings, [*headings[1:], None]):
        if this[1] == title:
            end = following.start() if following else len(text)
            return text[: this.end() + 1] + change(text[this.end() + 1 : end]) + text[end:]
    raise InputError(f"docs/README.md: no section '{title}'")


def missing_sections(text: str) -> list[str]:
    """Sections of a model card that the README lacks."""
    present = {match[1] for match in HEADING.finditer(text)}
    return [title for title in SECTIONS if title not in present]


def commands(text: str) -> Iterator[list[str]]:
    """Words of every bundle command in the README's shell blocks."""
    for block in BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            if "monai.bundle" in line:
                yield shlex.split(line)


def check_command(words: list[str], bundle: Path) -> None:
    """Raise ``InputError`` unless the command's verb, files and options exist in ``bundle``."""
    start = words.index("monai.bundle") + 1
    verb, options = words[start], _options(words[start + 1 :])
    function = getattr(scripts, verb, None)
    if not inspect.isfunction(function):
        raise InputError(f"docs/README.md: monai.bundle has no command '{verb}'")
    files = [bundle / name for name in _files(options)]
    for path in files:
        if not path.is_file():
            raise InputError(f"docs/README.md: {path.relative_to(bundle)}: the bundle has no such file")
    known = {*inspect.signature(function).parameters, "bundle_root"}
    unknown = [name for name in options if name not in known]
    if files:
        check_ids(unknown, [str(path) for path in files])
    elif unknown:
        raise InputError(f"docs/README.md: --{unknown[0]}: no option of 'monai.bundle {verb}'")


def _options(words: list[str]) -> dict[str, str]:
    return {w[2:]: following for w, following in zip(words, [*words[1:], ""]) if w.startswith("--")}


def _files(options: Mapping[str, str]) -> list[str]:
    given = options.get("config_file", "")
    return ast.literal_eval(given) if given.startswith("[") else [given] if given else []
