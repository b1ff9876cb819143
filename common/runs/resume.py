"""Continue a killed run as if it had not been killed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from ignite.engine import Engine, Events

from ..errors import InputError
from ..files import atomic_path


class Resume:
    """Save the full state of a run every few epochs, and on request start from it.

    The state holds the objective (networks, teacher, heads, memories), optimizers, schedulers, the loader's streams,
    the random generators, the loss scaler, the best validation metric and the counters. Every process of a
    distributed run keeps its own file. Files are replaced atomically and load with ``weights_only``.

    Args:
        path: the file; never inside ``models/``, whose files are offered as weights.
        objective: bare objective.
        optimizers: as given to the trainer.
        lr_schedulers: schedulers of those.
        loader: the two-stream loader.
        evaluator: evaluator whose best metric is remembered, if any.
        resume: load the file at the start, if there is one.
        interval: epochs between two saves; 0 saves nothing.
    """

    def __init__(
        self,
        path: str | Path,
        objective: torch.nn.Module,
        optimizers: Sequence,
        lr_schedulers: Sequence,
        loader: object,
        evaluator: Engine | None = None,
        resume: bool = False,
        interval: int = 1,
    ) -> None:
        path = Path(path)
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        self.path = path.with_name(f"{path.stem}.rank{rank}{path.suffix}") if rank else path
        self.parts = {
            "objective": [objective],
            "optimizers": optimizers,
            "schedulers": lr_schedulers,
            "loader": [loader],
        }
        self.evaluator, self.resume, self.interval = evaluator, resume, interval
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        self.parts["scaler"] = [engine.loss_scaler]
        if self.resume:
            engine.add_event_handler(Events.STARTED, self.load)
        if self.interval:
            engine.add_event_handler(Events.EPOCH_COMPLETED(every=self.interval), self.save)

    def save(self, engine: Engine) -> None:
        state = {name: [part.state_dict() for part in parts] for name, parts in self.parts.items()}
        state["counters"] = {"epoch": engine.state.epoch, "iteration": engine.state.iteration}
        state["random"] = {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()}
        if self.evaluator is not None:
            best = self.evaluator.state
            state["best"] = {"metric": float(best.best_metric), "epoch": int(best.best_metric_epoch)}
        with atomic_path(self.path) as temporary:
            torch.save(state, temporary)

    def load(self, engine: Engine) -> None:
        if not self.path.is_file():
            self.logger.warning(f"{self.path}: no such file, starting from the beginning")
            return
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            for name, parts in self.parts.items():
                for part, part_state in zip(parts, state[name], strict=True):
                    part.load_state_dict(part_state)
        except Exception as error:
            reason = str(error).splitlines()[0][:200]
            raise InputError(f"{self.path}: does not fit this configuration, or is damaged ({reason})") from error
        engine.state.epoch = state["counters"]["epoch"]
        engine.state.iteration = state["counters"]["iteration"]
        torch.set_rng_state(state["random"]["cpu"])
        if state["random"]["cuda"] and len(state["random"]["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["random"]["cuda"])
        if self.evaluator is not None and "best" in state:
            self.evaluator.state.best_metric = state["best"]["metric"]
            self.evaluator.state.best_metric_epoch = state["best"]["epoch"]
        self.logger.info(f"resumed {self.path} at iteration {engine.state.iteration}")
