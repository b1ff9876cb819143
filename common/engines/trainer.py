"""The one training engine of the collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import Trainer
from monai.engines.utils import IterationEvents
from torch import Tensor, nn
from torch.optim import Optimizer

from ..errors import DivergedError, require_choice
from ..memory import keep_freed_memory
from ..networks.modes import to_channels_last
from ..precision import AUTO, CHOICES, Precision, choose_precision
from ..transforms.batch import Batch
from .bfloat16 import right_bfloat16
from .objective import Objective

LEAST_SCALE = 2.0**-20  # of the loss in float16; gradients that overflow even then are not finite at all


@dataclass(frozen=True)
class StepSettings:
    """How a training step is executed.

    Attributes:
        amp: number type of the objective, see ``choose_precision``; float16 scales the loss.
        channels_last: lay out networks and images channels-last.
        max_grad_norm: clip the gradient of each optimizer's parameters to this Euclidean norm; ``None``: no clipping.
        check_every: iterations between two looks at whether all terms are finite. A look waits for the device; which
            term failed first is known whatever the interval.
    """

    amp: bool | str = AUTO
    channels_last: bool = True
    max_grad_norm: float | None = None
    check_every: int = 1

    def __post_init__(self) -> None:
        require_choice(amp=(self.amp, CHOICES))
        if self.check_every < 1:
            raise ValueError(f"check_every must be at least 1, got {self.check_every}")


class SemiSupervisedTrainer(Trainer):
    """Train the networks of an objective on batches of labeled and unlabeled samples.

    The engine knows no method: it moves the batch, calls the objective, weights and sums its terms, does one backward
    and steps every optimizer. It fires MONAI's iteration events, and ``engine.state.output`` holds the detached total
    as ``loss`` beside every term and diagnostic of the objective.

    Args:
        device: where to train.
        max_epochs: epochs to run, of ``len(train_data_loader)`` iterations each.
        train_data_loader: sized iterable of ``Batch``.
        objective: the method; where there are several processes, gradients are averaged over them.
        optimizers: one or several; all are stepped in every iteration.
        settings: precision, layout, clipping; or the arguments of ``StepSettings``.
        train_handlers: MONAI or Ignite handlers with ``attach``.

    Raises:
        DivergedError: at run time, naming the first term that became NaN or infinite and its iteration.
    """

    def __init__(
        self,
        device: torch.device | str,
        max_epochs: int,
        train_data_loader: Any,
        objective: Objective,
        optimizers: Optimizer | Sequence[Optimizer],
        settings: StepSettings | Mapping[str, Any] | None = None,
        train_handlers: Sequence | None = None,
    ) -> None:
        super().__init__(device=device, max_epochs=max_epochs, data_loader=train_data_loader, decollate=False)
        if self.state.device.type == "cpu":
            keep_freed_memory()
        self.settings = settings if isinstance(settings, StepSettings) else StepSettings(**(settings or {}))
        self.terms_of = objective.to(self.state.device)
        if self.settings.channels_last:
            to_channels_last(self.terms_of)
        self.objective = _distributed(self.terms_of, self.state.device)
        self.optimizers = [optimizers] if isinstance(optimizers, Optimizer) else list(optimizers)
        self.precision = _of_all_processes(choose_precision(self.settings.amp, self.state.device), self.state.device)
        scaled = self.precision.dtype == torch.float16
        self.loss_scaler = torch.amp.GradScaler(self.state.device.type, enabled=scaled)
        self._failed: dict[str, Tensor] = {}
        for event in (Events.EPOCH_COMPLETED, Events.COMPLETED):  # before any handler can save weights
            self.add_event_handler(event, self.raise_if_failed)
        self._register_handlers(train_handlers or ())

    def run(self) -> None:
        """Train; what handlers enter into ``while_running`` is left when that ends, however it does."""
        with ExitStack() as self.while_running:
            super().run()

    def _iteration(self, engine: Engine, batchdata: Batch) -> dict[str, Tensor]:
        settings, device, step = self.settings, self.state.device, engine.state.iteration
        batch = batchdata.to(device, non_blocking=True)
        if settings.channels_last:
            batch = replace(batch, image=to_channels_last(batch.image))
        self.objective.train()
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        with self.precision.autocast(device.type), self._right_gradients():
            terms = self.objective(batch, step)
        engine.fire_event(IterationEvents.FORWARD_COMPLETED)
        total = self.terms_of.total(terms, step)
        engine.fire_event(IterationEvents.LOSS_COMPLETED)
        self._note_failures(terms)
        if step % settings.check_every == 0:
            self.raise_if_failed()
        self.loss_scaler.scale(total).backward()
        engine.fire_event(IterationEvents.BACKWARD_COMPLETED)
        self._step_optimizers()
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return {"loss": total.detach(), **{name: value.detach() for name, value in terms.items()}}

    def _right_gradients(self) -> AbstractContextManager:
        if self.precision.dtype == torch.bfloat16 and self.state.device.type == "cpu":
            return right_bfloat16(self.objective, refuse=self.settings.amp != AUTO)
        return nullcontext()

    def _step_optimizers(self) -> None:
        for optimizer in self.optimizers:
            if self.settings.max_grad_norm is not None:
                self.loss_scaler.unscale_(optimizer)
                parameters = [p for group in optimizer.param_groups for p in group["params"]]
                nn.utils.clip_grad_norm_(parameters, self.settings.max_grad_norm)
            self.loss_scaler.step(optimizer)
        self.loss_scaler.update()

    def _note_failures(self, terms: dict[str, Tensor]) -> None:
        """Remember on the device, per term, the first iteration at which it was not finite (0: none)."""
        for name, value in terms.items():
            before = self._failed.get(name, torch.zeros((), dtype=torch.int64, device=value.device))
            now = (~torch.isfinite(value.detach())).any() * self.state.iteration
            self._failed[name] = torch.where(before > 0, before, now)

    def raise_if_failed(self) -> None:
        """Raise ``DivergedError`` if a term was not finite so far; waits for the device."""
        steps = torch.stack(list(self._failed.values())).tolist() if self._failed else []
        failed = {name: step for name, step in zip(self._failed, steps) if step}
        if failed:
            first = min(failed.values())
            names = ", ".join(name for name, step in failed.items() if step == first)
            raise DivergedError(f"iteration {first}: loss term {names} is NaN or infinite; training stopped")
        if self.loss_scaler.is_enabled() and self.loss_scaler.get_scale() < LEAST_SCALE:
            raise DivergedError(f"iteration {self.state.iteration}: gradients stay NaN or infinite; training stopped")


def _distributed(objective: Objective, device: torch.device) -> nn.Module:
    """The objective itself, or among several processes one that averages gradients over them."""
    if not torch.distributed.is_initialized():
        return objective
    devices = [device] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(objective, device_ids=devices, find_unused_parameters=True)


def _of_all_processes(precision: Precision, device: torch.device) -> Precision:
    """That of the first process where several train on CPUs, which may be timed differently."""
    held = [precision]
    if device.type == "cpu" and torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.broadcast_object_list(held, src=0)
    return held[0]
