"""Per-case metrics of an evaluation, as a CSV file, a JSON summary and a table in the log."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from ignite.engine import Engine, Events
from torch import Tensor

from ..errors import InputError
from ..files import atomic_path
from ..metrics import METRICS, case_metrics, summarise, summarise_domains

FORMULA = ("=", "+", "-", "@", "\t", "\r")


class CaseMetrics:
    """Compare ``pred`` and ``label`` of every case an evaluator yields.

    Args:
        folder: receives ``metrics.csv`` (case[, domain], class, metrics) and ``summary.json``.
        classes: number of classes, background included.
        spacing: voxel extents in mm; ``None`` measures distances in voxels of the evaluation grid.
        empty_policy: see ``case_metrics``.
        notes: what a reader must know of these figures (data, labels, checkpoint); goes into the summary.
        parts: what to measure instead of single classes, see ``case_metrics``.
        labeled: the labeled cases of the training; their number is noted, and their domain counts as in-domain.
        stacked: measure the volumes that the 2D cases of a ``patient`` make up, in the order they come; a case of more
            dimensions or without a patient counts by itself.

    Cases that have a ``domain`` are summarised per domain as well: see ``summarise_domains``.

    Raises:
        InputError: at run time, when the slices of a patient differ in size.
    """

    def __init__(
        self,
        folder: str | Path,
        classes: int,
        spacing: Sequence[float] | None = None,
        empty_policy: str = "official",
        notes: Mapping[str, object] | None = None,
        parts: Mapping[str, Collection[int]] | None = None,
        labeled: Sequence[Mapping] = (),
        stacked: bool = False,
    ) -> None:
        self.folder, self.classes, self.spacing = Path(folder), classes, spacing
        self.empty_policy, self.notes = empty_policy, {**(notes or {}), **_about(labeled)}
        self.parts, self.stacked = parts, stacked
        self.rows: list[dict] = []
        self.slices: dict[tuple, list[tuple[np.ndarray, np.ndarray]]] = {}
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, lambda _: (self.rows.clear(), self.slices.clear()))
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.measure)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def measure(self, engine: Engine) -> None:
        for source, output in zip(engine.state.batch, engine.state.output):
            pred, label = _label_map(output["pred"]), _label_map(output["label"])
            domain = {"domain": source["domain"]} if "domain" in source else {}
            if self.stacked and pred.ndim == 2 and "patient" in source:
                self.slices.setdefault((source["patient"], *domain.values()), []).append((pred, label))
            else:
                self._add({"case": source["case"], **domain}, pred, label)

    def _add(self, case: Mapping, pred: np.ndarray, label: np.ndarray) -> None:
        measured = case_metrics(pred, label, self.classes, self.spacing, self.empty_policy, self.parts)
        self.rows += [{**case, **row} for row in measured]

    def _add_volumes(self) -> None:
        for (patient, *domain), pairs in self.slices.items():
            if len({array.shape for pair in pairs for array in pair}) > 1:
                raise InputError(f"patient {patient}: slices of different sizes make up no volume (stacked)")
            pred, label = (np.stack(maps, axis=-1) for maps in zip(*pairs))
            self._add({"case": patient, **dict(zip(["domain"], domain))}, pred, label)

    def write(self, engine: Engine) -> None:
        self._add_volumes()
        by_domain = bool(self.rows) and all("domain" in row for row in self.rows)
        summary = {
            **summarise(self.rows),
            **(summarise_domains(self.rows, self.notes.get("labeled_domain")) if by_domain else {}),
            "unit": "mm" if self.spacing else "voxel",
            "empty_policy": self.empty_policy,
            **self.notes,
        }
        columns = ["case", *(["domain"] if by_domain else []), "class", *METRICS, "empty"]
        with (
            atomic_path(self.folder / "metrics.csv") as temporary,
            open(temporary, "w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            for row in self.rows:
                names = {name: _cell(row[name]) for name in ("case", "domain") if name in row}
                writer.writerow({**row, **names})
        with atomic_path(self.folder / "summary.json") as temporary:
            temporary.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        for name, domain in summary.get("domains", {}).items():
            self.logger.info(f"{name}: {domain['cases']} cases, Dice {100 * domain['mean']['dice']:.2f} %")
        mean = summary["mean"]
        self.logger.info(
            f"{summary['cases']} cases: Dice {100 * mean['dice']:.2f} %, Jaccard {100 * mean['jaccard']:.2f} %, "
            f"95HD {mean['hd95']:.2f} {summary['unit']}, ASD {mean['asd']:.2f} {summary['unit']}, "
            f"{summary['empty']} empty predictions; {self.folder / 'metrics.csv'}"
        )


def _cell(name: object) -> str:
    """A name as spreadsheets show it, who take one that begins like a formula for a formula."""
    return f"'{name}" if str(name)[:1] in FORMULA else str(name)


def _label_map(tensor: Tensor) -> np.ndarray:
    """Label map of ``1, spatial...`` indices or ``C, spatial...`` one-hot channels."""
    return (tensor[0] if tensor.shape[0] == 1 else tensor.argmax(dim=0)).cpu().numpy().astype(np.uint8)


def _about(labeled: Sequence[Mapping]) -> dict[str, object]:
    """Number and domain of the labeled cases, as far as there are any."""
    domain = next((case["domain"] for case in labeled if "domain" in case), None)
    return {**({"labeled": len(labeled)} if labeled else {}), **({"labeled_domain": domain} if domain else {})}
