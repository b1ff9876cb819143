"""All that happens around the iterations of a training run, as one handler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from monai.handlers import LrScheduleHandler
from torch import nn

from ..engines import SemiSupervisedTrainer
from ..handlers import CollapseWarning, History, LastAverage
from ..options import Configuration, current_configuration
from .checkpoint import NAME
from .live import LiveView
from .process import is_main
from .progress import Progress
from .record import fingerprint, write_record
from .resume import Resume
from .save_model import SaveModel
from .settings import FILE as SETTINGS
from .settings import WEIGHTS, Settings

BEST, AVERAGE = "model_best.pt", "model_average.pt"


class RunHandler:
    """Schedules, log, resume points, weights, settings and record of a run; stands last among the trainer's handlers.

    ``ckpt_dir`` receives ``model.pt``, the last weights of a run that ended well, ``model_best.pt``, those of the best
    validation, ``model_average.pt``, the mean of the last ones if asked for, ``settings.json`` and ``record.json``;
    ``output_dir`` receives ``history.csv`` and the resume state.

    Args:
        network: what is deployed.
        evaluator: of the validation.
        output_dir: folder of the run.
        ckpt_dir: folder of the weights.
        lr_schedulers: stepped every iteration.
        resume: continue the run in ``output_dir``.
        progress: show a bar over the iterations, if there is a terminal.
        tensorboard: write a live view, see ``LiveView``.
        average_last: share of the iterations whose weights are averaged, see ``LastAverage``; 0: none.
        export: makes the deployed network of the trained one, see ``SaveModel``.
    """

    def __init__(
        self,
        network: nn.Module,
        evaluator: Engine,
        output_dir: str | Path,
        ckpt_dir: str | Path,
        lr_schedulers: Sequence = (),
        resume: bool = False,
        progress: bool = True,
        tensorboard: bool = False,
        average_last: float = 0.0,
        export: Callable[[nn.Module], nn.Module] | None = None,
    ) -> None:
        self.output, self.folder, self.evaluator = Path(output_dir), Path(ckpt_dir), evaluator
        configuration = current_configuration()
        self.settings = None if configuration is None else Settings.of(configuration)
        self.schedules = [LrScheduleHandler(s, print_lr=False, epoch_level=False) for s in lr_schedulers]
        self.lr_schedulers, self.continues = list(lr_schedulers), resume
        self.last = SaveModel(network, self.folder / WEIGHTS, export=export)
        self.best = SaveModel(network, self.folder / BEST, best=True, export=export)
        self.average = LastAverage(network, average_last) if average_last else None
        self.export = export
        shown = Progress(evaluator, progress, _subject(configuration))
        history = History(self.output / "history.csv")
        live = [LiveView(history, evaluator, self.output)] if tensorboard else []
        self.log: list[Any] = [shown, CollapseWarning(), history, *live]

    def attach(self, engine: SemiSupervisedTrainer) -> None:
        for handler in self.schedules:
            handler.attach(engine)
        for handler in self.log if is_main() else ():
            handler.attach(engine)
        if self.average is not None:
            self.average.attach(engine)
        self.resume = Resume(
            self.output / NAME, engine.terms_of, engine.optimizers, self.lr_schedulers, engine.data_loader,
            self.evaluator, self.continues, fingerprint=fingerprint,
        )  # fmt: skip
        self.resume.attach(engine)
        if is_main():
            self.best.attach(self.evaluator)
            self.last.attach(engine)
            if self.average is not None:
                engine.add_event_handler(Events.COMPLETED, self.save_average)
            self.evaluator.add_event_handler(Events.COMPLETED, self.say_how)
            engine.add_event_handler(Events.COMPLETED, self.say_how)
            engine.add_event_handler(Events.COMPLETED, self.say_what)

    def save_average(self, engine: Engine) -> None:
        """Write the mean of the last weights."""
        SaveModel(self.average.averaged, self.folder / AVERAGE, export=self.export).save(engine)

    def say_how(self, engine: Engine) -> None:
        """Write the settings that weights must be accompanied by."""
        if self.settings is not None:
            self.settings.write(self.folder)

    def say_what(self, engine: Engine) -> None:
        """Write what is known of the run when it has ended."""
        write_record(
            self.folder,
            (WEIGHTS, BEST, AVERAGE, SETTINGS),
            iterations=engine.state.iteration,
            data={case: sums for cases in self.resume.data.values() for case, sums in cases.items()},
        )


def _subject(configuration: Configuration | None) -> str:
    """Bundle and data set of a training, by the names of their folders."""
    words = []
    for key in ("bundle_root", "dataset_dir"):
        if configuration is not None and key in configuration and (value := configuration.value(key)):
            words.append(Path(str(value)).resolve().name)
    return " on ".join(words) or "training"
