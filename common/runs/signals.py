"""Signals that ask a training run to end: it stops where its state can be kept."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import distributed

ASKING = (signal.SIGTERM, signal.SIGINT)
PATIENCE = 3.0  # seconds in which repeated signals, as launchers send, count as one


class StopRequest:
    """Remembers the first signal; the same again after ``PATIENCE`` seconds acts as it would have without this.

    Attributes:
        number: of the signal; 0 for none so far.
    """

    def __init__(self) -> None:
        self.number, self.since = 0, 0.0
        self.group = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within the block, signals are remembered; in another thread than the main one, they are not."""
        self.number = 0
        self.group = distributed.new_group(backend="gloo") if distributed.is_initialized() else None
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before: dict[int, Any] = {number: signal.signal(number, self._note) for number in ASKING}
        self.before = before
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: Any) -> None:
        if not self.number:
            self.number, self.since = number, time.monotonic()
        elif time.monotonic() - self.since > PATIENCE:
            signal.signal(number, self.before[number])
            signal.raise_signal(number)

    def agreed(self) -> int:
        """The signal, if any process of the run had one; to be called by all of them at the same iteration."""
        if self.group is None:
            return self.number
        number = torch.tensor(self.number)
        distributed.all_reduce(number, distributed.ReduceOp.MAX, group=self.group)
        return int(number)
