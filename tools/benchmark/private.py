"""The memory that processes have for themselves."""

from __future__ import annotations

import math
import os
import re
import threading
from pathlib import Path
from typing import Any

INTERVAL = 0.01  # seconds between two looks


class PeakMemory:
    """The most memory that this process and those it started have for themselves while the block runs.

    Files that are mapped and what processes share do not count. On systems without Linux's ``/proc`` it is NaN.

    Attributes:
        before: bytes at the start of the block.
        most: the largest number of bytes until now.
    """

    def __enter__(self) -> PeakMemory:
        self.before = self.most = private_bytes()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.over.set()
        self.thread.join()

    def _watch(self) -> None:
        while not self.over.wait(INTERVAL):
            self.most = max(self.most, private_bytes())


def private_bytes() -> float:
    """Bytes of anonymous memory of this process and all below it; NaN where the system does not say."""
    held, parents = {}, {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text(encoding="utf-8")
        except OSError:  # has ended
            continue
        parent, memory = (re.search(rf"^{name}:\s*(\d+)", text, re.MULTILINE) for name in ("PPid", "RssAnon"))
        if parent is not None:
            number = int(status.parent.name)
            parents[number], held[number] = int(parent[1]), 1024.0 * int(memory[1]) if memory else 0.0
    if os.getpid() not in held:
        return math.nan
    return sum(memory for number, memory in held.items() if _is_below(number, os.getpid(), parents))


def _is_below(number: int, root: int, parents: dict[int, int]) -> bool:
    while number != root and number in parents:
        number = parents[number]
    return number == root
