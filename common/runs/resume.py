"""Continue a run that was killed, stopped, or is to go on for longer.

The contract, which ``docs/resume.md`` tells users:

* A run that was killed at any moment and resumed with the same settings ends with the same weights, bit by bit, as one
  that was not (float32 on a CPU).
* What ``common.runs.contract`` lists as free may change. Schedules, of the learning rate and of weights of terms, are
  those of a run that had the new settings from its start: only the position in them, an iteration, is kept.
* With another number of processes, all of them take up the shared state; data and random numbers go on from the seed
  and the iteration, and a line says so.
* Anything else that differs is refused by name, with both values: settings, lists of cases and their contents.
* Of two generations of the state, a damaged newer one is passed over with a line.
* SIGTERM and Ctrl-C keep the state of the last iteration and end the program with one line and 128 plus their number.
"""

from __future__ import annotations

import logging
import signal
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from ..datasets.gate import check_leaks
from ..errors import InputError, StoppedError
from ..tensors import came_from_file, digest
from .checkpoint import Generations, processes, rank
from .folder import begin_run, check_contract, close_run, written_settings
from .record import case_name
from .signals import StopRequest


class Resume:
    """Save the full state of a run every few epochs and when a signal ends it, and on request start from it.

    The state holds the objective (networks, teacher, heads, memories), optimizers, positions of schedules, the loader's
    streams, the random generators, the loss scaler, the best validation metric, the iteration, what other handlers keep
    under ``engine.state_dict_user_keys``, settings and cases. Frozen parameters that came from a file of pretrained
    weights are left out: that file has them, and a checksum tells whether it is still the same.

    Stands last among the handlers of the trainer.

    Args:
        path: the newest file, see ``Generations``.
        objective: bare objective.
        optimizers: as given to the trainer.
        lr_schedulers: schedulers of those.
        loader: the two-stream loader.
        evaluator: evaluator whose best metric is remembered, if any.
        resume: start from the state, if there is one.
        interval: epochs between two saves; 0 saves nothing.
        settings: see ``check_resumable``; ``None``: those of the configuration that this handler stands in.
        fingerprint: tells the cases of a data set, by name, and their contents, see ``check_same_data``; ``None``: by
            name alone.
    """

    def __init__(
        self,
        path: str | Path,
        objective: torch.nn.Module,
        optimizers: Sequence,
        lr_schedulers: Sequence,
        loader: Any,
        evaluator: Engine | None = None,
        resume: bool = False,
        interval: int = 1,
        settings: Mapping[str, Any] | None = None,
        fingerprint: Callable[[Sequence[Mapping]], Mapping] | None = None,
    ) -> None:
        self.generations, self.folder = Generations(path), Path(path).parent
        self.objective, self.optimizers, self.schedulers = objective, list(optimizers), list(lr_schedulers)
        self.loader, self.evaluator, self.resume, self.interval = loader, evaluator, resume, interval
        self.settings = dict(settings) if settings is not None else written_settings()
        self.fingerprint = fingerprint or names_only
        self.data: dict[str, dict] | None = None
        self.request, self.saved = StopRequest(), 0
        self.frozen: dict[str, Any] = {}
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.GET_BATCH_STARTED, self.stop_if_asked)
        if self.interval:
            engine.add_event_handler(Events.EPOCH_COMPLETED(every=self.interval), self.save)
        if self.evaluator is not None:
            self.evaluator.add_event_handler(Events.ITERATION_COMPLETED, lambda _: self.stop_in_validation(engine))

    def start(self, engine: Engine) -> None:
        """Take up the saved state, or clear the folder of another one; listen to signals from now on."""
        engine.while_running.callback(close_run, self.folder)
        engine.while_running.enter_context(self.request.listening())
        self.frozen = _digests(self.objective)
        found = self.resume and bool(self.generations.found())
        if rank() == 0:
            self.data = cases_of(self.loader, self.evaluator, self.fingerprint)
            if self.fingerprint is not names_only:
                check_leaks(self.data or {}, ("labeled", "unlabeled"))
        epoch_open = found and self.load(engine)
        if rank() == 0:
            begin_run(self.folder, fresh=not found)
        if epoch_open and engine.state.iteration % engine.state.epoch_length == 0:
            engine.fire_event(Events.EPOCH_COMPLETED)
        if self.resume and not found:
            self.logger.warning(f"{self.generations.path}: no such file, starting from the beginning")

    def save(self, engine: Engine, epoch_open: bool = False) -> None:
        """Write the state; ``epoch_open`` says that the handlers of the epoch's end have not all run."""
        iteration, device = engine.state.iteration, engine.state.device
        cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        own = {
            "iteration": iteration,
            "loader": self.loader.state_dict(),
            "random": {"cpu": torch.get_rng_state(), "cuda": cuda},
        }
        self.generations.write(own if rank() else {**self.shared(engine), "own": own, "epoch_open": epoch_open})
        self.saved = iteration

    def shared(self, engine: Engine) -> dict:
        """What is the same in all processes."""
        left_out = {name: known for name, known in _digests(self.objective).items() if known == self.frozen.get(name)}
        state = {
            "iteration": engine.state.iteration,
            "processes": processes(),
            "settings": self.settings,
            "data": self.data,
            "frozen": left_out,
            "objective": {k: v for k, v in self.objective.state_dict().items() if k not in left_out},
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "schedules": [scheduler.state_dict() for scheduler in self.schedulers],
            "scaler": engine.loss_scaler.state_dict(),
            "handlers": {key: getattr(engine.state, key, None) for key in engine.state_dict_user_keys},
        }
        if self.evaluator is not None:
            best = self.evaluator.state
            state["best"] = {
                "metric": float(best.best_metric),
                "iteration": int(best.best_metric_epoch) * engine.state.epoch_length,
            }
        return state

    def load(self, engine: Engine) -> bool:
        """Take up the newest sound state; returns whether the handlers of its epoch's end are still to run."""
        state, own = self.generations.read()
        check_contract(state, self.settings, self.data)
        self.generations.drop_newer(state["iteration"])
        if rank() == 0:
            self.generations.drop_others()
        try:
            self._load_objective(state)
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                _load_optimizer(optimizer, saved)
            for scheduler, saved in zip(self.schedulers, state["schedules"], strict=True):
                _move(scheduler, saved)
            if engine.loss_scaler.is_enabled() and state["scaler"]:
                engine.loss_scaler.load_state_dict(state["scaler"])
            self._load_position(engine, state, own)
        except InputError:
            raise
        except Exception as error:
            reason = str(error).splitlines()[0][:200]
            raise InputError(f"{self.generations.path}: does not fit this configuration ({reason})") from error
        self.logger.info(f"resumed {self.generations.path} at iteration {engine.state.iteration}")
        return state["epoch_open"]

    def _load_objective(self, state: Mapping) -> None:
        sources = {name: came_from_file(p) for name, p in self.objective.named_parameters(remove_duplicate=False)}
        for name, known in state["frozen"].items():
            if self.frozen.get(name) != known:
                source = sources.get(name) or "the pretrained weights"
                raise InputError(f"resume: {source}: not the file that this run was started with ({name} differs)")
        wanted = self.objective.state_dict().keys() - state["frozen"].keys()
        for name in sorted(wanted ^ state["objective"].keys()):
            raise ValueError(f"{name} is {'missing' if name in wanted else 'unknown'}")
        self.objective.load_state_dict(state["objective"], strict=False)

    def _load_position(self, engine: Engine, state: Mapping, own: Mapping | None) -> None:
        iteration, length = state["iteration"], engine.state.epoch_length
        if iteration > length * engine.state.max_epochs:
            raise InputError(
                f"iterations: {length * engine.state.max_epochs} are fewer than the {iteration} that the run in "
                f"{self.folder} has done"
            )
        engine.state.iteration, engine.state.epoch = iteration, iteration // length
        for key, value in state["handlers"].items():
            setattr(engine.state, key, value)
        if self.evaluator is not None and "best" in state:
            self.evaluator.state.best_metric = state["best"]["metric"]
            self.evaluator.state.best_metric_epoch = state["best"]["iteration"] // length
        if own is not None:
            self.loader.load_state_dict(own["loader"])
            torch.set_rng_state(own["random"]["cpu"])
            if own["random"]["cuda"] is not None and engine.state.device.type == "cuda":
                torch.cuda.set_rng_state(own["random"]["cuda"], engine.state.device)
            return
        self.loader.restart(iteration)
        torch.manual_seed((torch.initial_seed() + 1_000_003 * iteration + rank()) % 2**63)
        self.logger.warning(
            f"a run of {state['processes']} processes goes on with {processes()}: the order of the data and random "
            f"numbers follow anew from the seed and iteration {iteration}"
        )

    def stop_if_asked(self, engine: Engine) -> None:
        """Between two iterations: keep the state and end the program, if a signal asked for that."""
        if number := self.request.agreed():
            self._stop(engine, number, epoch_open=False)

    def stop_in_validation(self, engine: Engine) -> None:
        """The same between two cases of a validation, which is done again after resuming."""
        if processes() == 1 and self.request.number:
            self._stop(engine, self.request.number, epoch_open=True)

    def _stop(self, engine: Engine, number: int, epoch_open: bool) -> None:
        engine.raise_if_failed()
        if self.interval and (self.saved != engine.state.iteration or epoch_open):
            self.save(engine, epoch_open)
        kept = f"; resume: true continues from {self.generations.path}" if self.interval else ""
        message = f"{signal.Signals(number).name}: stopped after iteration {engine.state.iteration}{kept}"
        if rank() == 0:
            sys.stderr.write(f"{message}\n")
        raise StoppedError(message, number)


def cases_of(loader: Any, evaluator: Engine | None, fingerprint: Callable) -> dict[str, dict] | None:
    """The cases in each list, with their fingerprints; ``None`` where the data sets do not tell."""
    datasets = dict(zip(("labeled", "unlabeled"), (dataset for dataset, *_ in getattr(loader, "streams", ()))))
    if evaluator is not None:
        datasets["validation"] = getattr(getattr(evaluator, "data_loader", None), "dataset", None)
    found = {role: getattr(dataset, "data", None) for role, dataset in datasets.items()}
    if not found or any(cases is None for cases in found.values()):
        return None
    return {role: fingerprint(cases) for role, cases in found.items()}


def names_only(cases: Sequence[Mapping]) -> dict[str, None]:
    """A fingerprint that knows cases by name."""
    return {case_name(case): None for case in cases}


def _digests(objective: torch.nn.Module) -> dict[str, str]:
    """Checksums, by every name they have, of parameters that came from a file and that nothing trains."""
    known: dict[int, str] = {}
    named = {
        name: parameter
        for name, parameter in objective.named_parameters(remove_duplicate=False)
        if not parameter.requires_grad and came_from_file(parameter)
    }
    for parameter in named.values():
        if id(parameter) not in known:
            known[id(parameter)] = digest(parameter)
    return {name: known[id(parameter)] for name, parameter in named.items()}


def _load_optimizer(optimizer: Optimizer, saved: Mapping) -> None:
    """Take up moments and counters; rates and other settings stay those of the configuration."""
    if not isinstance(optimizer, Optimizer):
        optimizer.load_state_dict(saved)
        return
    settings = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(saved)
    for group, own in zip(optimizer.param_groups, settings):
        group.update(own)


def _move(scheduler: LRScheduler, saved: Mapping) -> None:
    """Step a new scheduler to the saved position, which gives the rate of a run with its settings from the start."""
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.load_state_dict(saved)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it expects steps of the optimizer in between
        while scheduler.last_epoch < saved["last_epoch"]:
            scheduler.step()
