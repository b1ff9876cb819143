"""Per-case metrics of an evaluation, as a CSV file, a JSON summary and a table in the log."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from torch import Tensor

from ..errors import InputError
from ..files import atomic_path, spreadsheet_text
from ..metrics import METRICS, Calibration, case_metrics, confidence_of, how_well, summarize, summarize_domains


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
        checkpoint: weights, or the folder of their run; where a calibration lies beside them (see
            ``common.metrics.Calibration``), the summary says how well the intervals of expected Dice held.

    Outputs with ``confidence`` (see ``common.transforms.ConfidenceSumsd``) have a column of that name, by class. Cases
    that have a ``domain`` are summarized per domain as well: see ``summarize_domains``.

    Raises:
        InputError: at run time, when the slices of a patient differ in size.
    """

    def __init__(
        self,
        folder: str | Path,
        classes: int,
        spacing: Sequence[float] | None = None,
        empty_policy: str = "official",
        notes: Mapping[str, Any] | None = None,
        parts: Mapping[str, Collection[int]] | None = None,
        labeled: Sequence[Mapping] = (),
        stacked: bool = False,
        checkpoint: str | Path | None = None,
    ) -> None:
        self.folder, self.classes, self.spacing = Path(folder), classes, spacing
        self.empty_policy, self.notes = empty_policy, {**(notes or {}), **_about(labeled)}
        self.parts, self.stacked = parts, stacked
        self.calibration = None if checkpoint is None else Calibration.beside(checkpoint)
        self.rows: list[dict] = []
        self.slices: dict[tuple, list[tuple[np.ndarray, np.ndarray, np.ndarray | None]]] = {}
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, lambda _: self.rows.clear())
        engine.add_event_handler(Events.STARTED, lambda _: self.slices.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.measure)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def measure(self, engine: Engine) -> None:
        for source, output in zip(engine.state.batch, engine.state.output):
            pred, label = _label_map(output["pred"]), _label_map(output["label"])
            domain = {"domain": source["domain"]} if "domain" in source else {}
            sums = output["confidence"].numpy() if "confidence" in output and self.parts is None else None
            if self.stacked and pred.ndim == 2 and "patient" in source:
                self.slices.setdefault((source["patient"], *domain.values()), []).append((pred, label, sums))
            else:
                self._add({"case": source["case"], **domain}, pred, label, sums)

    def _add(self, case: Mapping, pred: np.ndarray, label: np.ndarray, sums: np.ndarray | None) -> None:
        measured = case_metrics(pred, label, self.classes, self.spacing, self.empty_policy, self.parts)
        promised = [{}] * len(measured) if sums is None else [{"confidence": float(c)} for c in confidence_of(sums)]
        self.rows += [{**case, **row, **more} for row, more in zip(measured, promised)]

    def _add_volumes(self) -> None:
        for (patient, *domain), parts in self.slices.items():
            pairs = [(pred, label) for pred, label, _ in parts]
            if len({array.shape for pair in pairs for array in pair}) > 1:
                raise InputError(f"patient {patient}: slices of different sizes make up no volume (stacked)")
            pred, label = (np.stack(maps, axis=-1) for maps in zip(*pairs))
            sums = None if parts[0][2] is None else np.sum([sums for *_, sums in parts], axis=0)
            self._add({"case": patient, **dict(zip(["domain"], domain))}, pred, label, sums)

    def _expectations(self) -> dict[str, Any]:
        """How well intervals of expected Dice held on these cases, if the network is calibrated."""
        if self.calibration is None or not self.rows or "confidence" not in self.rows[0]:
            return {}
        cases: dict[tuple, list[dict]] = {}
        for row in self.rows:
            cases.setdefault((row["case"], row.get("domain")), []).append(row)
        found = []
        for rows in cases.values():
            expected, low, high = self.calibration(float(np.mean([row["confidence"] for row in rows])))
            dice = float(np.mean([row["dice"] for row in rows]))
            found.append({"dice": dice, "expected": expected, "low": low, "high": high})
        return {"expected": {"level": self.calibration.level, **how_well(found)}}

    def write(self, engine: Engine) -> None:
        self._add_volumes()
        by_domain = bool(self.rows) and all("domain" in row for row in self.rows)
        summary = {
            **summarize(self.rows),
            **(summarize_domains(self.rows, self.notes.get("labeled_domain")) if by_domain else {}),
            "unit": "mm" if self.spacing else "voxel",
            "empty_policy": self.empty_policy,
            **self._expectations(),
            **self.notes,
        }
        columns = ["case", *(["domain"] if by_domain else []), "class", *METRICS, "empty"]
        columns += ["confidence"] if any("confidence" in row for row in self.rows) else []
        with (
            atomic_path(self.folder / "metrics.csv") as temporary,
            open(temporary, "w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            for row in self.rows:
                names = {name: spreadsheet_text(row[name]) for name in ("case", "domain") if name in row}
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
        if told := summary.get("expected"):
            self.logger.info(
                f"intervals of expected Dice ({100 * told['level']:.0f} %) held for {told['held']} of {told['cases']} "
                f"cases, half width {100 * told['half_width']:.1f} points"
            )


def _label_map(tensor: Tensor) -> np.ndarray:
    """Label map of ``1, spatial...`` indices or ``C, spatial...`` one-hot channels."""
    return (tensor[0] if tensor.shape[0] == 1 else tensor.argmax(dim=0)).cpu().numpy().astype(np.uint8)


def _about(labeled: Sequence[Mapping]) -> dict[str, Any]:
    """Number and domain of the labeled cases, as far as there are any."""
    domain = next((case["domain"] for case in labeled if "domain" in case), None)
    return {**({"labeled": len(labeled)} if labeled else {}), **({"labeled_domain": domain} if domain else {})}
