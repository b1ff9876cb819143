"""The Dice that a case without a label can be expected to have, and an interval, learned from cases with labels."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import atomic_path, read_json

FILE = "expected_dice.json"  # beside the weights that it is about
LEVEL = 0.9  # of the intervals
FLOOR = 0.05  # of the scale of errors: no case is known better than that
FEWEST = 3  # independent cases


def confidence_of(sums: np.ndarray) -> np.ndarray:
    r"""Dice that the probabilities of a network promise, :math:`2 \sum_{v \in P} p_v / (|P| + \sum_v p_v)`, by class.

    The Dice of the predicted voxels P to a label that is drawn voxel by voxel from the probabilities, with expectations
    in numerator and denominator. 0 for a class that is nowhere predicted.

    Args:
        sums: ``classes, 3``, from 0: the probability over predicted voxels, their number, the probability everywhere.
    """
    sums = np.asarray(sums, float).reshape(-1, 3)
    return np.divide(2 * sums[:, 0], sums[:, 1] + sums[:, 2], out=np.zeros(len(sums)), where=sums[:, 1] > 0)


@dataclass(frozen=True)
class Calibration:
    """A line from confidence to Dice, and how far cases are from it: conformal intervals.

    The expected Dice of a case of confidence c is ``slope * c + offset``, in [0, 1]; its interval reaches ``reach``
    times ``FLOOR`` plus one minus that to both sides, since good cases are known better than bad ones.

    Attributes:
        slope: of the line, at least 0.
        offset: of the line.
        reach: factor of the scale of errors.
        level: share of new cases that the interval holds for, if they are like those it was learned from.
        cases: how many those were.
        units: how many of them were independent, such as patients.
    """

    slope: float
    offset: float
    reach: float
    level: float
    cases: int
    units: int

    def __call__(self, confidence: float) -> tuple[float, float, float]:
        """Expected Dice and the ends of its interval, each in [0, 1]."""
        middle = float(self._line(np.array([confidence]))[0])
        far = self.reach * float(_scale(np.array([middle]))[0])
        return middle, max(middle - far, 0.0), min(middle + far, 1.0)

    def _line(self, confidence: np.ndarray) -> np.ndarray:
        return np.clip(self.slope * confidence + self.offset, 0, 1)

    @classmethod
    def fit(
        cls,
        confidence: Sequence[float],
        dice: Sequence[float],
        units: Sequence[Hashable],
        level: float = LEVEL,
    ) -> Calibration:
        """Learn from cases with labels that the network did not see.

        Errors are those of a line fitted to the other units; the interval takes the quantile of each unit's largest
        error, the k-th of n with ``k = ceil((n + 1) * level)``. Of fewer units than that it takes the largest error,
        and says the level that this has, ``n / (n + 1)``.

        Args:
            confidence: of each case, the mean over its classes.
            dice: of each case, likewise.
            units: what is independent, such as the patient of each case.
            level: wanted.

        Raises:
            InputError: for fewer than three units.

        Source: Barber, Candes, Ramdas and Tibshirani, Annals of Statistics 2021 (jackknife+ and its relatives).
        """
        x, y = np.asarray(confidence, float), np.asarray(dice, float)
        owners = np.unique(np.asarray(units), return_inverse=True)[1]
        count = int(owners.max(initial=-1)) + 1
        if count < FEWEST:
            raise InputError(f"{count} independent cases with labels: intervals need at least {FEWEST}")
        errors = np.zeros(count)
        for unit in range(count):
            own = owners == unit
            middle = np.clip(np.polyval(_fitted(x[~own], y[~own]), x[own]), 0, 1)
            errors[unit] = float(np.max(np.abs(y[own] - middle) / _scale(middle)))
        rank = min(math.ceil((count + 1) * level), count)
        slope, offset = _fitted(x, y)
        reach = float(np.sort(errors)[rank - 1])
        return cls(slope, offset, reach, min(level, count / (count + 1)), len(x), count)

    @classmethod
    def beside(cls, checkpoint: str | Path) -> Calibration | None:
        """What is known of some weights, or of those in a run's folder; ``None`` where nothing lies beside them.

        Raises:
            InputError: for a file that is not one of these.
        """
        path = Path(checkpoint)
        path = (path if path.is_dir() else path.parent) / FILE
        if not path.is_file():
            return None
        try:
            content = read_json(path, "it should hold a calibration", dict)
            found = cls(**{field.name: content[field.name] for field in fields(cls)})
            if not all(isinstance(v, (int, float)) and math.isfinite(v) for v in asdict(found).values()):
                raise ValueError
        except (ValueError, KeyError):
            raise InputError(f"{path}: no calibration of expected Dice; python -m tools folds writes it") from None
        return found

    def write(self, folder: str | Path) -> None:
        """Write it beside the weights in a folder."""
        with atomic_path(Path(folder) / FILE) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def held_out(confidence: Sequence[float], dice: Sequence[float], units: Sequence[Hashable]) -> list[dict[str, float]]:
    """Expectation and interval of every case by what was learned from the other units, in the order of the cases.

    Raises:
        InputError: for fewer than four units.
    """
    x, y, names = np.asarray(confidence, float), np.asarray(dice, float), np.asarray(units)
    rows: list[dict[str, float]] = []
    for case, unit in enumerate(names):
        others = names != unit
        middle, low, high = Calibration.fit(x[others], y[others], names[others])(x[case])
        rows.append({"dice": float(y[case]), "expected": middle, "low": low, "high": high})
    return rows


def how_well(rows: Sequence[Mapping[str, float]]) -> dict[str, float | None]:
    """How well intervals held: over cases with ``dice``, ``expected``, ``low`` and ``high``.

    Returns:
        ``cases``; ``held``, how many lay inside; ``half_width``, the mean of the intervals; ``error``, the mean
        absolute one of the expectation; ``rank_correlation`` of expectation and Dice, ``None`` for fewer than 3 cases.
    """
    dice, expected, low, high = (
        np.array([row[key] for row in rows], float) for key in ("dice", "expected", "low", "high")
    )
    ranks = np.array([np.argsort(np.argsort(values)) for values in (dice, expected)])
    varied = len(rows) > 2 and np.ptp(dice) > 0 and np.ptp(expected) > 0
    return {
        "cases": len(rows),
        "held": int(((low <= dice) & (dice <= high)).sum()),
        "half_width": float((high - low).mean() / 2),
        "error": float(np.abs(dice - expected).mean()),
        "rank_correlation": float(np.corrcoef(ranks)[0, 1]) if varied else None,
    }


def _fitted(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope, not below 0, and offset of the line of least squares."""
    spread = float(((x - x.mean()) ** 2).sum())
    slope = max(float(((x - x.mean()) * (y - y.mean())).sum()) / spread, 0.0) if spread > 1e-12 else 0.0
    return slope, float(y.mean() - slope * x.mean())


def _scale(middle: np.ndarray) -> np.ndarray:
    return FLOOR + 1 - middle
