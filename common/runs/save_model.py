"""The weights that are deployed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import torch
from ignite.engine import Engine, Events
from torch import nn

from ..files import atomic_path


class SaveModel:
    """Save the state of a network as plain tensors, atomically.

    On a trainer: the last weights, when training ends well. An exception (a NaN loss, an interrupt) saves nothing and
    leaves an earlier file alone, where MONAI's ``CheckpointSaver`` would replace it. On an evaluator with
    ``best: true``: the weights of the best key metric so far.

    Args:
        network: what to save.
        path: the file.
        best: save after evaluations that improved the key metric, instead of at the end.
        export: makes the deployed network of the trained one, e.g. with LoRA merged; ``None``: they are the same.
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
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
        with atomic_path(self.path) as temporary:
            torch.save(state, temporary)
        self.logger.info(f"saved {self.path}")
