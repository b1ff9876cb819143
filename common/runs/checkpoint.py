"""Files of a run's state: two generations, of which a damaged one is passed over."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from ..errors import InputError
from ..files import atomic_path
from ..tensors import not_finite, read_file, save

STATE = {"objective", "processes", "own", "iteration", "settings", "data"}  # parts of that of a run
NAME, PREVIOUS = "resume.pt", "resume.previous.pt"
PURPOSE = "it should hold the state of a run (resume)"
_LOG = logging.getLogger("Resume")


def rank() -> int:
    """Number of this process among those of the run."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def processes() -> int:
    """How many processes the run has."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


class Generations:
    """The last two states of a run: ``resume.pt`` and ``resume.previous.pt``.

    The first process writes what all share. Every other one writes what is its own, its place in the data and its
    random generators, to ``resume.rank<n>.pt``. Each file is an archive of ``torch.save`` with a checksum of every
    record, replaced atomically; the file before it becomes the previous one.

    Args:
        path: of the newest file of the first process.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def files(self, number: int = 0) -> tuple[Path, Path]:
        """Newest and previous file of process ``number``."""
        stem = f"{self.path.stem}.rank{number}" if number else self.path.stem
        newest, previous = (self.path.with_name(f"{stem}{age}{self.path.suffix}") for age in ("", ".previous"))
        return newest, previous

    def found(self) -> list[Path]:
        """All files of all processes that are there."""
        pattern = re.compile(rf"{re.escape(self.path.stem)}(\.rank\d+)?(\.previous)?{re.escape(self.path.suffix)}")
        return sorted(path for path in self.path.parent.glob("*") if pattern.fullmatch(path.name))

    def write(self, state: dict) -> None:
        """Save what this process has to save; the file that was the newest becomes the previous one."""
        newest, previous = self.files(rank())
        with atomic_path(newest) as temporary:
            save(state, temporary)
            if newest.exists():  # only now, as a full disk must leave both
                os.replace(newest, previous)

    def remove(self) -> None:
        """Remove the files of all processes, as a run that starts afresh must."""
        for path in self.found():
            path.unlink(missing_ok=True)

    def read(self) -> tuple[dict, dict | None]:
        """The newest sound state, and what is this process's own in it.

        A state that some process lacks its part of, as after a kill between two of them, counts only where there is
        no whole one. The own part is ``None`` then, and where the number of processes has changed.

        Raises:
            InputError: when there are files and none is sound.
        """
        newest = None
        for state in self.sound():
            if state["processes"] != processes():
                return state, None
            own = self.part(state)
            if own is not None:
                return state, own
            newest = newest or state
        return newest, None

    def drop_others(self) -> None:
        """Remove the parts of processes that the run no longer has."""
        for path in self.found():
            number = re.search(r"\.rank(\d+)", path.name)
            if number and int(number[1]) >= processes():
                path.unlink()

    def drop_newer(self, iteration: int) -> None:
        """Remove this process's newest file unless it is of ``iteration``, lest the sound one before it be replaced."""
        newest = self.files(rank())[0]
        try:
            if not newest.exists() or read_file(newest, PURPOSE)["iteration"] == iteration:
                return
        except InputError:
            pass
        newest.unlink()

    def sound(self, quiet: bool = False) -> Iterator[dict]:
        """States of the first process that can be read, newest first; those that cannot are named in the log."""
        problems, sound = [], 0
        for path in self.files():
            if not path.exists():
                continue
            try:
                state = read_file(path, PURPOSE)
                if not _is_state(state):
                    raise InputError(f"{path}: not the state of a run, or of an older version")
                if key := not_finite(state["objective"]):
                    raise InputError(f"{path}: {key!r} has NaN or infinite values; the file is damaged")
            except InputError as error:
                problems.append(str(error))
                if not quiet:
                    _LOG.warning(f"{error}; looking for the state before it")
                continue
            sound += 1
            yield state
        if not sound:
            raise InputError(
                f"{problems[0] if problems else f'{self.path}: no such file'}; there is no sound state to resume from"
            )

    def part(self, state: dict) -> dict | None:
        """What process ``rank()`` has of its own in a state, if every process has its part."""
        parts = [state["own"]]
        for number in range(1, state["processes"]):
            candidates = []
            for path in self.files(number):
                try:
                    candidates.append(read_file(path, PURPOSE))
                except InputError:
                    continue
            parts += [part for part in candidates if part.get("iteration") == state["iteration"]][:1]
        return parts[rank()] if len(parts) == state["processes"] else None


def _is_state(state: Any) -> bool:
    """Whether what a file holds has the parts of a run's state, each of its kind."""
    if not isinstance(state, dict) or not state.keys() >= STATE:
        return False
    counts = ((state["iteration"], 0), (state["processes"], 1))
    known = all(state[name] is None or isinstance(state[name], dict) for name in ("settings", "data"))
    parts = (state["objective"], state["own"], state.get("frozen", {}), state.get("handlers", {}))
    return (
        known
        and all(type(n) is int and n >= least for n, least in counts)
        and all(isinstance(p, dict) for p in parts)
        and all(isinstance(value, torch.Tensor) for value in state["objective"].values())
    )
