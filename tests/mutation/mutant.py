"""One small change of a file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """A change of the characters ``start`` to ``end`` of a file.

    Attributes:
        path: of the file, relative to the repository.
        kind: of the change.
        start: first character.
        end: last character plus one.
        text: what stands there instead.
        line: number of the first line, from 1.
    """

    path: str
    kind: str
    start: int
    end: int
    text: str
    line: int

    def apply(self, source: str) -> str:
        """The changed content."""
        return source[: self.start] + self.text + source[self.end :]

    def shown(self, source: str) -> tuple[str, str]:
        """The line, or lines, before and after."""
        first = source.rfind("\n", 0, self.start) + 1
        last = source.find("\n", self.end)
        last = len(source) if last < 0 else last
        after = source[first : self.start] + self.text + source[self.end : last]
        return " ".join(source[first:last].split()), " ".join(after.split())

    def name(self, source: str) -> str:
        """Stays as long as the file does."""
        key = f"{self.path} {self.start} {self.end} {self.text} {source}"
        return hashlib.sha256(key.encode()).hexdigest()[:16]
