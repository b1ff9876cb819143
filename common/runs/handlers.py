"""All that happens around the iterations of a training run, as one handler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ignite.engine import Engine, Events
from monai.handlers import LrScheduleHandler
from torch import nn

from ..engines.process import is_main
from ..handlers import CollapseWarning, History, Progress
from ..options import current_configuration
from .record import fingerprint, write_record
from .resume import Resume
from .save_model import SaveModel
from .settings import WEIGHTS, Settings

BEST = "model_best.pt"


class RunHandler:
    """Schedules, log, resume points, weights, settings and record of a run; stands last among the trainer's handlers.

    ``ckpt_dir`` receives ``model.pt``, the last weights of a run that ended well, ``model_best.pt``, those of the best
    validation, ``settings.json`` and ``record.json``; ``output_dir`` receives ``history.csv`` and the resume state.

    Args:
        network: what is deployed.
        objective: bare objective.
        optimizers: as given to the trainer.
        loader: the two-stream loader.
        evaluator: of the validation.
        output_dir: folder of the run.
        ckpt_dir: folder of the weights.
        lr_schedulers: stepped every iteration.
        resume: continue the run in ``output_dir``.
        progress: show progress bars.
        export: makes the deployed network of the trained one, see ``SaveModel``.
    """

    def __init__(
        self,
        network: nn.Module,
        objective: nn.Module,
        optimizers: Sequence,
        loader: object,
        evaluator: Engine,
        output_dir: str | Path,
        ckpt_dir: str | Path,
        lr_schedulers: Sequence = (),
        resume: bool = False,
        progress: bool = True,
        export: Callable[[nn.Module], nn.Module] | None = None,
    ) -> None:
        self.folder, self.loader, self.evaluator = Path(ckpt_dir), loader, evaluator
        configuration = current_configuration()
        self.settings = None if configuration is None else Settings.of(configuration)
        self.schedules = [LrScheduleHandler(s, print_lr=False, epoch_level=False) for s in lr_schedulers]
        self.resume = Resume(
            Path(output_dir) / "resume.pt", objective, optimizers, lr_schedulers, loader, evaluator, resume
        )
        self.last = SaveModel(network, self.folder / WEIGHTS, export=export)
        self.best = SaveModel(network, self.folder / BEST, best=True, export=export)
        self.log = [CollapseWarning(), History(Path(output_dir) / "history.csv"), *([Progress()] if progress else [])]

    def attach(self, engine: Engine) -> None:
        for handler in self.schedules:
            handler.attach(engine)
        for handler in self.log if is_main() else ():
            handler.attach(engine)
        self.resume.attach(engine)
        if is_main():
            self.best.attach(self.evaluator)
            self.last.attach(engine)
            engine.add_event_handler(Events.COMPLETED, self.describe)

    def describe(self, engine: Engine) -> None:
        """Write what the weights must be accompanied by."""
        cases = [case for dataset, *_ in self.loader.streams for case in dataset.data]
        held_out = list(self.evaluator.data_loader.dataset.data)
        if self.settings is not None:
            self.settings.write(self.folder)
        write_record(
            self.folder,
            (WEIGHTS, BEST),
            iterations=engine.state.iteration,
            data=fingerprint([*cases, *held_out]),
        )
