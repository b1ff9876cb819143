"""What a served model has learned: its rounds of training, and which weights count."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from common.errors import InputError
from common.files import atomic_path

RELEASED, NEWEST = "released", "newest"
FEWEST = 4  # labels from which on some are kept for validation
SHARE = 5  # one in so many


class Rounds:
    """Folder ``rounds`` of a model: one run folder per training, ``current.json`` for the weights that count.

    Args:
        folder: of the model.
        weights: those that were served first.
    """

    def __init__(self, folder: Path, weights: Path) -> None:
        self.folder, self.first = folder, weights

    def names(self) -> list[str]:
        """Names of finished rounds, newest first, and of the weights that were served first."""
        found = (path.parent.name for path in self.folder.glob("rounds/*/round.json"))
        done = [name for name in sorted(found, reverse=True) if self.read(name).get("status") == "done"]
        return [*done, RELEASED]

    def weights(self, name: str = NEWEST) -> tuple[str, Path]:
        """Name and file of some weights; ``InputError`` for a round that does not exist."""
        known = self.names()
        name = known[0] if name == NEWEST else str(name)
        if name not in known:
            raise InputError(f"weights {name}: no such round; there are {', '.join([NEWEST, *known])}")
        return name, self.first if name == RELEASED else self.folder / "rounds" / name / "model.pt"

    def read(self, name: str) -> dict:
        """What is recorded of a round."""
        try:
            return json.loads((self.folder / "rounds" / name / "round.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def last(self) -> tuple[str, dict]:
        """Name and record of the last training, finished or not; empty where there was none."""
        names = sorted(path.parent.name for path in self.folder.glob("rounds/*/round.json"))
        if not names:
            return "", {}
        facts = self.read(names[-1])
        if facts.get("status") == "running" and not self._is_running(names[-1]):
            facts = self.read(names[-1])  # as it may have ended meanwhile
            facts |= {"status": "stopped"} if facts.get("status") == "running" else {}
        return names[-1], facts

    def dice(self) -> float | None:
        """Of the newest weights on the cases that are kept for validation, if there are any."""
        return self.read(self.names()[0]).get("dice")

    def _is_running(self, name: str) -> bool:
        try:
            with self.running(name).acquire(timeout=0):
                return False
        except Timeout:
            return True

    def begin(self, **facts: Any) -> tuple[str, Path]:
        """Name and folder of a new round."""
        taken = [int(path.name) for path in self.folder.glob("rounds/*") if path.name.isdigit()]
        name = f"{max([0, *taken]) + 1:04d}"
        folder = self.folder / "rounds" / name
        (folder / "data").mkdir(parents=True)
        self.record(name, status="running", started=time.time(), **facts)
        return name, folder

    def running(self, name: str) -> FileLock:
        """What the process of a round holds while it lasts, as a context: a stopped one is killed and says nothing."""
        return FileLock(self.folder / "rounds" / name / "running.lock")

    def record(self, name: str, **facts: Any) -> None:
        """Add to what is recorded of a round."""
        with atomic_path(self.folder / "rounds" / name / "round.json") as temporary:
            temporary.write_text(json.dumps({**self.read(name), **facts}, indent=1), encoding="utf-8")

    def held_out(self, labeled: Sequence[str]) -> list[str]:
        """Cases kept for validation, of the labeled ones: none of fewer than ``FEWEST``, then one in ``SHARE``.

        Once kept, a case stays so; what an earlier round has learned from is never taken.
        """
        file = self.folder / "validation.json"
        kept = [id for id in (json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []) if id in labeled]
        wanted = max(1, len(labeled) // SHARE) if len(labeled) >= FEWEST else 0
        used = {
            id
            for path in self.folder.glob("rounds/*/round.json")
            for id in self.read(path.parent.name).get("labeled", [])
        }
        fresh = [id for id in sorted(labeled) if id not in used and id not in kept]
        kept += fresh[: max(0, min(wanted - len(kept), len(labeled) - len(kept) - 1))]
        with atomic_path(file) as temporary:
            temporary.write_text(json.dumps(kept), encoding="utf-8")
        return kept

    def progress(self) -> dict[str, Any]:
        """Statistics of the last training in the form that viewers show."""
        name, facts = self.last()
        if not name:
            return {}
        rows = _rows(self.folder / "rounds" / name / "history.csv")
        length = int(facts.get("epoch_length", 1))
        stats: dict[str, Any] = {"round": name, "epoch": int(rows[-1]["iteration"]) // length if rows else 0}
        stats |= {"total_epochs": int(facts.get("epochs", 1)), "status": str(facts.get("status"))}
        stats |= {"labeled": len(facts.get("labeled", [])), "unlabeled": int(facts.get("unlabeled", 0))}
        pace = float(rows[-1]["seconds_per_step"]) if rows else 0.0
        if facts.get("status") == "running" and pace:
            left = (stats["total_epochs"] - stats["epoch"]) * length * pace
            stats["remaining_minutes"] = f"{left / 60:.1f}"
        if facts.get("status") != "running":
            stats["total_time"] = f"{facts['seconds']:.0f} s" if "seconds" in facts else "unknown"
        for key, shown in (("dice", "best_metric"), ("dice_before", "validation_dice_before"), ("error", "error")):
            if facts.get(key) is not None:
                stats[shown] = facts[key]
        if facts.get("dice") is not None:
            stats["validation_dice"] = facts["dice"]
        return stats

    def pace(self) -> float | None:
        """Seconds of a step in the last training that tells, that of the served run included."""
        for path in [*sorted(self.folder.glob("rounds/*/history.csv"), reverse=True), self.folder / "history.csv"]:
            if rows := _rows(path):
                return float(rows[-1]["seconds_per_step"])
        return None


def write_lists(
    folder: Path, labeled: Mapping[str, Mapping[str, str]], unlabeled: Mapping[str, str], held_out: Sequence[str]
) -> None:
    """Write the data set of a round: lists of cases and where their files lie.

    Args:
        folder: of the data set.
        labeled: image and label of each labeled case.
        unlabeled: image of each other case.
        held_out: labeled cases for validation.
    """
    lists = {
        "labeled": [id for id in sorted(labeled) if id not in held_out],
        "unlabeled": sorted(unlabeled),
        "validation": sorted(held_out),
    }
    files = {**labeled, **{id: {"image": image} for id, image in unlabeled.items()}}
    with atomic_path(folder / "splits.json") as temporary:
        temporary.write_text(json.dumps({**lists, "files": files}, indent=1), encoding="utf-8")


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except OSError:
        return []
