"""Commands to paste into a shell."""

from __future__ import annotations

import shlex
from typing import Any


def paste(*words: Any) -> str:
    """A command of this package: words with spaces or signs of the shell in quotes."""
    quotes = (shlex.quote(word) if word.isprintable() else _escaped(word) for word in map(str, words))
    return " ".join(["python -m tools", *quotes])


def _escaped(word: str) -> str:
    """A word with line breaks or other control characters, as shells read it."""
    shown = {"\\": "\\\\", "'": "\\'"}
    signs = (
        shown.get(s, s if s.isprintable() else f"\\x{ord(s):02x}" if ord(s) < 128 else f"\\u{ord(s):04x}") for s in word
    )
    return f"$'{''.join(signs)}'"
