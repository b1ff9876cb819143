"""The score by which the published code picks its best weights."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from ignite.engine import Engine
from ignite.metrics import Metric
from torch import Tensor

from common.errors import require_choice

from .smc import overlap

SCORES = ("dice", "smoothed_dice")


def make_score(selection: str, parts: Sequence[Collection[int]]) -> Metric | None:
    """``SmoothedDice`` of ``parts``, or ``None`` for the evaluator's own mean ``dice``, of classes in a label."""
    require_choice(selection=(selection, SCORES))
    return SmoothedDice(parts) if selection == "smoothed_dice" else None


class SmoothedDice(Metric):
    r"""Smoothed Dice of ``pred`` and ``label``, averaged over the images of a domain, then over domains and parts.

    .. math:: D(A, B) = \frac{2 |A \cap B| + 1}{|A| + |B| + 1.001}, \qquad D(\emptyset, \emptyset) = 1

    Args:
        parts: classes of each part.

    Shapes: one-hot maps ``K, H, W`` of each image; cases without a ``domain`` make up one.

    Source: SynFoC (CVPR 2025), published code.
    """

    def __init__(self, parts: Sequence[Collection[int]]) -> None:
        self.parts = parts
        super().__init__()

    def reset(self) -> None:
        self.scores: dict[str, list[Tensor]] = {}

    def update(self, output: Sequence[tuple[str, Tensor, Tensor]]) -> None:
        """Add images: domain, prediction and label of each."""
        for domain, *maps in output:
            pred, label = (one_hot.argmax(dim=0, keepdim=True) for one_hot in maps)
            self.scores.setdefault(domain, []).append(overlap(pred, label, self.parts))

    def compute(self) -> float:
        means = [torch.cat(scores).mean() for scores in self.scores.values()]
        return float(torch.stack(means).mean())

    def iteration_completed(self, engine: Engine) -> None:
        cases = zip(engine.state.batch, engine.state.output)
        self.update([(case.get("domain", ""), output["pred"], output["label"]) for case, output in cases])
