"""The weights that are deployed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from ignite.engine import Engine, Events
from torch import nn

from ..errors import DivergedError
from ..tensors import not_finite, plain, write_file


class SaveModel:
    """Save the state of a network as plain tensors, atomically.

    On a trainer: the last weights, when training ends well. An exception (a NaN loss, an interrupt) saves nothing and
    leaves an earlier file alone, where MONAI's ``CheckpointSaver`` would replace it; so do weights that are not finite.
    On an evaluator with ``best: true``: the weights of the best key metric so far.

    Args:
        network: what to save.
        path: the file.
        best: save after evaluations that improved the key metric, instead of at the end.
        export: makes the deployed network of the trained one, e.g. with LoRA merged; ``None``: they are the same.

    Raises:
        DivergedError: at run time, naming the first tensor with a NaN or infinite value.
    """

    def __init__(
        self,
        network: nn.Module,
        path: str | Path,
        best: bool = False,
        export: Callable[[nn.Module], nn.Module] | None = None,
    ) -> None:
        self.network, self.path, self.best, self.export = network, Path(path), best, export
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED if self.best else Events.COMPLETED, self.save)

    def save(self, engine: Engine) -> None:
        if self.best and engine.state.best_metric_epoch != engine.state.epoch:
            return
        network = self.export(self.network) if self.export else self.network
        state = plain(network.state_dict())
        if key := not_finite(state):
            raise DivergedError(f"{self.path}: not saved, as {key!r} has NaN or infinite values")
        write_file(state, self.path)
        self.logger.info(f"saved {self.path}")
