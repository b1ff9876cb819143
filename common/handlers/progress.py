"""Progress bar of a training run."""

from __future__ import annotations

from ignite.engine import Engine, Events
from ignite.handlers import ProgressBar


class Progress(ProgressBar):
    """Ignite's bar over an epoch with the total loss of every 10th iteration; none without a terminal."""

    def __init__(self) -> None:
        super().__init__(disable=None)

    def attach(self, engine: Engine) -> None:  # type: ignore[override]
        super().attach(
            engine,
            output_transform=lambda output: {"loss": float(output["loss"])},
            event_name=Events.ITERATION_COMPLETED(every=10),
            closing_event_name=Events.EPOCH_COMPLETED,
        )
