"""A live view of a training: curves and pictures in TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.utils import optional_import
from torch import Tensor

from ..engines import SemiSupervisedTrainer
from ..errors import InputError
from ..handlers import History
from ..outlines import draw_outlines, fullest_slice
from .folder import LIVE

NEEDED = ("tensorboard", "matplotlib")  # by those who ask for it; slow to import, and a release does without
CASES = 3  # of a validation that are drawn: its first


def require_tensorboard() -> None:
    """Raise ``InputError`` where TensorBoard, or what draws its pictures, is not installed."""
    if not all(optional_import(name)[1] for name in NEEDED):
        raise InputError("tensorboard: true needs two packages (the extra live): pip install tensorboard matplotlib")


class LiveView:
    """Write what ``tensorboard --logdir`` shows while a run goes on.

    Once an epoch the loss terms and diagnostics (``loss/...``), as ``history.csv`` has them, and the learning rates
    (``rate/...``); with every validation its Dice and, of its first cases, the slice with the largest labeled area
    with the outlines of label and prediction. A continued run goes on in the same curves, and what an earlier process
    wrote beyond the point that it goes on from is dropped.

    Args:
        history: of the run; attached before this.
        evaluator: of the validation.
        folder: of the run.
    """

    def __init__(self, history: History, evaluator: Engine, folder: str | Path) -> None:
        require_tensorboard()
        self.history, self.evaluator, self.folder = history, evaluator, Path(folder) / LIVE
        self.seen: list[tuple[str, Tensor, Tensor, Tensor]] = []

    def attach(self, engine: SemiSupervisedTrainer) -> None:
        self.engine = engine
        self.writer: Any = None
        engine.add_event_handler(Events.EPOCH_STARTED, self.open)  # by now a resumed engine knows its iteration
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.write)
        self.evaluator.add_event_handler(Events.STARTED, lambda _: self.seen.clear())
        self.evaluator.add_event_handler(Events.ITERATION_COMPLETED, self.look)
        self.evaluator.add_event_handler(Events.COMPLETED, self.validated)

    def open(self, engine: SemiSupervisedTrainer) -> None:
        if self.writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(self.folder, purge_step=engine.state.iteration + 1)
            engine.while_running.callback(self.close)

    def close(self) -> None:
        self.writer.close()
        self.writer = None

    def write(self, engine: SemiSupervisedTrainer) -> None:
        step, row = engine.state.iteration, self.history.rows[-1]
        for name in row.keys() - {"iteration"}:
            self.writer.add_scalar(f"loss/{name}", float(row[name]), step)
        for number, optimizer in enumerate(engine.optimizers):
            self.writer.add_scalar(f"rate/{number}", optimizer.param_groups[0]["lr"], step)
        self.writer.flush()

    def look(self, evaluator: Engine) -> None:
        for case in evaluator.state.output[: CASES - len(self.seen)]:
            image, label, found = (case[key].detach().cpu() for key in ("image", "label", "pred"))
            self.seen.append((f"case {len(self.seen) + 1}", image[0].float(), label.argmax(dim=0), found.argmax(dim=0)))

    def validated(self, evaluator: Engine) -> None:
        if self.writer is None:  # an evaluation of its own
            return
        step = self.engine.state.iteration
        for name, value in evaluator.state.metrics.items():
            self.writer.add_scalar(f"validation/{name.removeprefix('val_')}", float(value), step)
        for name, *maps in self.seen:
            self.writer.add_figure(f"validation/{name}", _drawn(*maps), step)
        self.writer.flush()


def _drawn(image: Tensor, label: Tensor, found: Tensor):
    """A figure of label and prediction side by side, as outlines on a slice."""
    figure = optional_import("matplotlib.figure", name="Figure")[0](figsize=(5.2, 2.8), layout="constrained")
    if image.shape != label.shape:  # compared at another size
        image = torch.nn.functional.interpolate(image[None, None], label.shape)[0, 0]
    parts = [torch.as_tensor(part).numpy() for part in (image, label, found)]
    if image.dim() == 3:
        place = fullest_slice(parts[1])
        parts = [part[..., place] for part in parts]
    for axis, mask, title in zip(figure.subplots(1, 2), parts[1:], ("label", "prediction")):
        draw_outlines(axis, parts[0], mask)
        axis.set_title(title, fontsize=9)
    return figure
