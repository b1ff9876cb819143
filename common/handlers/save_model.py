"""The weights that are deployed."""

from __future__ import annotations

import logging
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
    """

    def __init__(self, network: nn.Module, path: str | Path, best: bool = False) -> None:
        self.network, self.path, self.best = network, Path(path), best
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED if self.best else Events.COMPLETED, self.save)

    def save(self, engine: Engine) -> None:
        if self.best and engine.state.best_metric_epoch != engine.state.epoch:
            return
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in self.network.state_dict().items()}
        with atomic_path(self.path) as temporary:
            torch.save(state, temporary)
        self.logger.info(f"saved {self.path}")
