"""What is compared with published code: ``python -m tools parity`` prints it, tests check it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from .recorded import Record, Row, records

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Source:
    """Where published code stands.

    Attributes:
        repository: owner and name.
        commit: that the results were recorded of.
        licence: as its repository says.
    """

    repository: str
    commit: str
    licence: str


@dataclass(frozen=True)
class Topic:
    """Recordings of one or more published functions that belong together.

    Attributes:
        name: of the recordings, ``<folder>/<name>_<number>.npz``.
        functions: published ones, ``file: name``.
        compare: yields what is compared, the largest absolute difference and its tolerance. A name that ends in ``*``
            is a mistake of the published code, by lines of ours that make it.
        source: name of a ``Source`` of the table.
        note: what to know of the inputs.
        folder: of the recordings.
    """

    name: str
    functions: Sequence[str]
    compare: Callable[[Record], Iterator[Row]]
    source: str
    note: str
    folder: str

    def rows(self, read: dict[Path, set[str]] | None = None) -> list[Row]:
        """Every comparison, each named quantity once: its largest difference over all recordings.

        Args:
            read: takes the names that were read of each file.
        """
        files = list(records(self.folder, self.name))
        assert files, f"{self.folder}/{self.name}: no recordings"
        worst: dict[tuple[str, float], float] = {}
        for record in files:
            torch.manual_seed(0)
            np.random.seed(0)
            for what, difference, tolerance in self.compare(record):
                known = worst.get((what, tolerance), 0.0)
                worst[what, tolerance] = difference if not difference <= known else known  # a NaN stays
            if read is not None:
                read.setdefault(record.path, set()).update(record.read)
        return [(what, difference, tolerance) for (what, tolerance), difference in worst.items()]


@dataclass
class Table:
    """What is compared of a method.

    Attributes:
        method: its name.
        presets: layers that reproduce the code.
        sources: published code by a short name; the first is the method's own.
        repaired: mistakes of the code that the presets do not make, each with the lines here that make them, if any.
        missing: what is not compared, and why.
        topics: comparisons, in order.
    """

    method: str
    presets: str
    sources: dict[str, Source]
    repaired: Sequence[tuple[str, object]] = ()
    missing: Sequence[str] = ()
    topics: dict[str, Topic] = field(default_factory=dict)

    def of(self, *functions: str, note: str = "", source: str = "", folder: str = "", name: str = "") -> Callable:
        """Enter a comparison of published functions; the recordings are named like it."""

        def enter(compare: Callable) -> Callable:
            what, whose = name or compare.__name__, source or next(iter(self.sources))
            topic = Topic(what, functions, compare, whose, note, folder or self.method)
            self.topics[f"{what} ({whose})" if what in self.topics else what] = topic
            return compare

        return enter

    def repairs(self) -> list[tuple[str, str, str]]:
        """Every repaired mistake: what it is, file and name of what makes it here, and its lines."""
        return [(text, *place_of(thing)) for text, thing in self.repaired]

    def functions(self) -> list[str]:
        """All published functions, each once."""
        return list(dict.fromkeys(name for topic in self.topics.values() for name in topic.functions))


def place_of(thing: object) -> tuple[str, str]:
    """File and name of a class or function here, and its lines, ``first-last``; empty for nothing."""
    if thing is None:
        return "", ""
    text, first = inspect.getsourcelines(thing)
    file = Path(inspect.getsourcefile(thing)).resolve().relative_to(HERE.parents[1])
    return f"{file.as_posix()}: {thing.__name__}", f"{first}-{first + len(text) - 1}"
