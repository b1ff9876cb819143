"""Batches of two stages."""

from __future__ import annotations

from typing import Any

from .two_stream import TwoStreamLoader


class StagedLoader(TwoStreamLoader):
    """``TwoStreamLoader`` whose first batches may hold another number of labeled samples, and no unlabeled ones.

    Args:
        arguments: of ``TwoStreamLoader``.
        first: so many batches.
        first_batch: labeled samples of each of them; ``None``: they are as all others.
        options: of ``TwoStreamLoader``.
    """

    def __init__(self, *arguments: Any, first: int = 0, first_batch: int | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.first, self.first_batch, self.drawn = first, first_batch, 0

    def counts(self) -> list[int]:
        self.drawn += 1
        return [self.first_batch, 0] if self.first_batch and self.drawn <= self.first else super().counts()

    def state_dict(self) -> dict:
        """Position of the streams, of the generator, and the batches drawn."""
        return {**super().state_dict(), "drawn": self.drawn}

    def load_state_dict(self, state: dict) -> None:
        super().load_state_dict(state)
        self.drawn = state["drawn"]
