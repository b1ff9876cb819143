"""Per-case metrics of an evaluation, as a CSV file, a JSON summary and a table in the log."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ignite.engine import Engine, Events
from torch import Tensor

from ..files import atomic_path
from ..metrics import METRICS, case_metrics, summarise


class CaseMetrics:
    """Compare ``pred`` and ``label`` of every case an evaluator yields.

    Args:
        folder: receives ``metrics.csv`` (case, class, metrics) and ``summary.json``.
        classes: number of classes, background included.
        spacing: voxel extents in mm; ``None`` measures distances in voxels of the evaluation grid.
        empty_policy: see ``case_metrics``.
        notes: what a reader must know of these figures (data, labels, checkpoint); goes into the summary.
    """

    def __init__(
        self,
        folder: str | Path,
        classes: int,
        spacing: Sequence[float] | None = None,
        empty_policy: str = "official",
        notes: Mapping[str, object] | None = None,
    ) -> None:
        self.folder, self.classes, self.spacing = Path(folder), classes, spacing
        self.empty_policy, self.notes = empty_policy, dict(notes or {})
        self.rows: list[dict] = []
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, lambda _: self.rows.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.measure)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def measure(self, engine: Engine) -> None:
        for source, output in zip(engine.state.batch, engine.state.output):
            pred, label = _label_map(output["pred"]), _label_map(output["label"])
            for row in case_metrics(pred, label, self.classes, self.spacing, self.empty_policy):
                self.rows.append({"case": source["case"], **row})

    def write(self, engine: Engine) -> None:
        summary = {
            **summarise(self.rows),
            "unit": "mm" if self.spacing else "voxel",
            "empty_policy": self.empty_policy,
            **self.notes,
        }
        with atomic_path(self.folder / "metrics.csv") as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, ["case", "class", *METRICS, "empty"])
            writer.writeheader()
            writer.writerows(self.rows)
        with atomic_path(self.folder / "summary.json") as temporary:
            temporary.write_text(json.dumps(summary, indent=1) + "\n")
        mean = summary["mean"]
        self.logger.info(
            f"{summary['cases']} cases: Dice {100 * mean['dice']:.2f} %, Jaccard {100 * mean['jaccard']:.2f} %, "
            f"95HD {mean['hd95']:.2f} {summary['unit']}, ASD {mean['asd']:.2f} {summary['unit']}, "
            f"{summary['empty']} empty predictions; {self.folder / 'metrics.csv'}"
        )


def _label_map(tensor: Tensor) -> np.ndarray:
    """Label map of ``1, spatial...`` indices or ``C, spatial...`` one-hot channels."""
    return (tensor[0] if tensor.shape[0] == 1 else tensor.argmax(dim=0)).cpu().numpy().astype(np.uint8)
