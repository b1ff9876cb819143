"""A warning when pseudo-labels collapse to background."""

from __future__ import annotations

import logging

import torch
from ignite.engine import Engine, Events


class CollapseWarning:
    """Warn once when a pseudo-label keeps far less foreground than the labels have, over a whole epoch.

    Reads the diagnostics of ``engine.state.output`` whose names start with ``pseudo_foreground``, and the labels of
    ``engine.state.batch``.

    Args:
        limit: share of the labels' foreground, which the pseudo-label's stays below in every iteration of the epoch.
    """

    def __init__(self, limit: float = 0.1) -> None:
        self.limit, self.warned = limit, False
        self.peak: dict[str, torch.Tensor] = {}
        self.labeled: list[torch.Tensor] = []
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self.reset)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.watch)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.judge)

    def reset(self, engine: Engine) -> None:
        self.peak.clear()
        self.labeled.clear()

    def watch(self, engine: Engine) -> None:
        for name, value in engine.state.output.items():
            if name.startswith("pseudo_foreground"):
                self.peak[name] = torch.maximum(self.peak.get(name, value), value)
        if self.peak and not self.warned:
            self.labeled.append((engine.state.batch.label > 0).float().mean())

    def judge(self, engine: Engine) -> None:
        if self.warned or not self.labeled:
            return
        share = float(torch.stack(self.labeled).mean())
        peaks = {name: float(peak) for name, peak in self.peak.items()}
        if vanished := {name: peak for name, peak in peaks.items() if peak < self.limit * share}:
            self.warned = True
            told = ", ".join(f"{name} at most {peak:.1e}" for name, peak in vanished.items())
            self.logger.warning(
                f"iteration {engine.state.iteration}: {told} for an epoch, where labels have {share:.1e}: the "
                "pseudo-labels have collapsed to background"
            )
