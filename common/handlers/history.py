"""Loss terms and diagnostics over training, one row per epoch."""

from __future__ import annotations

import csv
import logging
import time
from pathlib import Path

from ignite.engine import Engine, Events

from ..files import atomic_path, read_table


class History:
    """Average every scalar of ``engine.state.output`` over the epoch, log the averages and keep them in a CSV file.

    Sums stay on the device until the epoch ends. A resumed run keeps the rows of the epochs before it, and the sums of
    the epoch in which it was stopped: they are ``engine.state.history``.

    Args:
        path: the CSV file: columns iteration, seconds_per_step, then the scalars.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.rows: list[dict[str, str]] = []
        self.started, self.steps = 0.0, 0
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        engine.state_dict_user_keys.append("history")
        engine.state.history = _nothing()
        engine.add_event_handler(Events.STARTED, lambda _: self.rows.clear())
        engine.add_event_handler(Events.EPOCH_STARTED, self.reset)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.write)

    def recall(self, engine: Engine) -> None:
        """Take up the rows of an earlier part of the same run; by now a resumed engine knows its iteration."""
        if engine.state.iteration and not self.rows and self.path.is_file():
            done = [row for row in read_history(self.path) if row["iteration"] <= engine.state.iteration]
            self.rows = [{**row, "iteration": str(int(row["iteration"]))} for row in done]

    def reset(self, engine: Engine) -> None:
        self.recall(engine)
        if engine.state.iteration % engine.state.epoch_length == 0:
            engine.state.history = _nothing()
        self.started = self.ended = time.perf_counter()
        self.steps = 0

    def add(self, engine: Engine) -> None:
        sums, counts = engine.state.history["sums"], engine.state.history["counts"]
        self.steps, self.ended = self.steps + 1, time.perf_counter()  # what validation takes is not counted
        for name, value in engine.state.output.items():
            sums[name] = sums.get(name, 0) + value
            counts[name] = counts.get(name, 0) + 1

    def write(self, engine: Engine) -> None:
        if not self.steps:  # the end of an epoch that an earlier process was stopped in
            self.recall(engine)
            if self.rows and self.rows[-1]["iteration"] == str(engine.state.iteration):
                return
        sums, counts = engine.state.history["sums"], engine.state.history["counts"]
        seconds = (self.ended - self.started) / self.steps if self.steps else 0.0
        means = {name: float(total) / counts[name] for name, total in sums.items()}
        scalars = {name: f"{value:.6g}" for name, value in {"seconds_per_step": seconds, **means}.items()}
        self.rows.append({"iteration": str(engine.state.iteration), **scalars})
        engine.state.history = _nothing()
        self.logger.info(", ".join(f"{name} {value}" for name, value in self.rows[-1].items()))
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        with atomic_path(self.path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.rows)


def read_history(path: Path) -> list[dict]:
    """Rows of a run's CSV file, ``iteration`` as a number; ``InputError`` for one that a run cannot go on in."""
    return read_table(path, "the run goes on in it; move it away to begin another", ("iteration",))


def _nothing() -> dict[str, dict]:
    return {"sums": {}, "counts": {}}
