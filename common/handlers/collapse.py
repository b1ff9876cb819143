"""A warning when pseudo-labels collapse to background."""

from __future__ import annotations

import logging

import torch
from ignite.engine import Engine, Events


class CollapseWarning:
    """Warn once when the foreground share of a pseudo-label stays below a limit over a whole epoch.

    Reads the diagnostics of ``engine.state.output`` whose names start with ``pseudo_foreground``.

    Args:
        limit: share of voxels.
    """

    def __init__(self, limit: float = 1e-4) -> None:
        self.limit, self.warned = limit, False
        self.peak: dict[str, torch.Tensor] = {}
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, lambda _: self.peak.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.watch)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.judge)

    def watch(self, engine: Engine) -> None:
        for name, value in engine.state.output.items():
            if name.startswith("pseudo_foreground"):
                self.peak[name] = torch.maximum(self.peak.get(name, value), value)

    def judge(self, engine: Engine) -> None:
        vanished = [name for name, peak in self.peak.items() if float(peak) < self.limit]
        if vanished and not self.warned:
            self.warned = True
            self.logger.warning(
                f"iteration {engine.state.iteration}: {', '.join(vanished)} stayed below {self.limit:g} of the voxels "
                "for an epoch: the pseudo-labels have collapsed to background"
            )
