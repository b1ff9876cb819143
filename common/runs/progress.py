"""What a training trains on, when it is expected to end, and a bar over its iterations."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta

from ignite.engine import Engine, Events
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ..engines import SemiSupervisedTrainer

EVERY = 10  # iterations between two looks at the loss, which waits for the device
WARM = 2  # iterations that are slower than those to come
MOVED = 0.1  # share of the time left by which the expected end has to move to be told again


class Progress:
    """Say at the start what is trained on what and where, after some steps when that will end, and draw a bar.

    The bar goes over all iterations, with the loss of every 10th, the Dice of the last validation and the expected end,
    which counts validations as they come. Without a terminal there is none; the log then has the expected end, again
    whenever it has moved by a tenth of the time that is left.

    Args:
        evaluator: of the validation.
        bar: draw it, if there is a terminal.
        subject: method and data, in a few words.
    """

    def __init__(self, evaluator: Engine | None = None, bar: bool = True, subject: str = "training") -> None:
        self.evaluator, self.disable, self.subject = evaluator, None if bar else True, subject
        self.bar: tqdm | None = None
        self.end: datetime | None = None
        self.told: dict[str, str] = {}
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: SemiSupervisedTrainer) -> None:
        engine.add_event_handler(Events.STARTED, self.reset)
        engine.add_event_handler(Events.EPOCH_STARTED, self.begin)  # by now a resumed engine knows its iteration
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.advance)
        if self.evaluator is not None:
            self.evaluator.add_event_handler(Events.COMPLETED, self.validated)

    def reset(self, engine: SemiSupervisedTrainer) -> None:
        self.bar, self.told, self.end = None, {}, None

    def begin(self, engine: SemiSupervisedTrainer) -> None:
        if self.bar is not None:
            return
        self.first, self.total = engine.state.iteration, engine.state.max_epochs * engine.state.epoch_length
        labeled, unlabeled = getattr(engine.data_loader, "samples", (0, 0))
        counts = f"{labeled} labeled and {unlabeled} unlabeled samples"
        where = f"{engine.state.device} in {engine.precision.name}"
        self.logger.info(f"{self.subject}: {counts}; {where}; iterations {self.first + 1:,} to {self.total:,}")
        self.bar = engine.while_running.enter_context(
            tqdm(total=self.total, initial=self.first, disable=self.disable, dynamic_ncols=True, unit="step")
        )
        if not self.bar.disable:
            engine.while_running.enter_context(logging_redirect_tqdm())

    def advance(self, engine: SemiSupervisedTrainer) -> None:
        self.bar.update()
        done = engine.state.iteration - self.first
        if done == WARM:
            self.started = time.monotonic()
        elif done > WARM and (done - WARM) % EVERY == 0:
            self._look(engine, done)

    def _look(self, engine: SemiSupervisedTrainer, done: int) -> None:
        each = (time.monotonic() - self.started) / (done - WARM)
        left = each * (self.total - engine.state.iteration)
        end = datetime.now() + timedelta(seconds=left)
        if self.end is None or abs((end - self.end).total_seconds()) > max(60.0, MOVED * left):
            self.end = end
            self.logger.info(f"{each:.2g} s per step: expected to end at {_clock(end)}, in {_span(left)}")
        if not self.bar.disable:
            self.told |= {"loss": f"{float(engine.state.output['loss']):.3g}", "end": _clock(end)}
            self.bar.set_postfix(self.told)

    def validated(self, evaluator: Engine) -> None:
        dice = evaluator.state.metrics.get("val_mean_dice")
        if dice is not None:
            self.told["Dice"] = f"{float(dice):.3f}"


def _clock(end: datetime) -> str:
    return f"{end:%H:%M}" if end.date() == datetime.now().date() else f"{end:%Y-%m-%d %H:%M}"


def _span(seconds: float) -> str:
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.{1 if unit == 'hours' else 0}f} {unit}"
    return f"{seconds:.0f} seconds"
