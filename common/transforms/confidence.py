"""What a network's probabilities promise of its own segmentation."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from torch import Tensor

from ..metrics import Calibration, confidence_of


class ConfidenceSumsd(MapTransform):
    """Add the sums over voxels that ``common.metrics.confidence_of`` takes: ``K - 1, 3``, float64, without background.

    They are the probability over the voxels where a class is the most probable, their number, and the probability
    everywhere; those of slices add up to those of their volume.

    Args:
        keys: softmax maps ``K, spatial...``.
        output: key of the sums.
    """

    def __init__(self, keys: KeysCollection, output: str = "confidence") -> None:
        super().__init__(keys)
        self.output = output

    def __call__(self, data: Mapping[Hashable, Tensor]) -> dict[Hashable, Tensor]:
        result = dict(data)
        for key in self.key_iterator(result):
            maps = torch.as_tensor(result[key]).detach().clamp(min=0).flatten(1)
            shares = maps / maps.sum(dim=0, keepdim=True).clamp(min=1e-12)
            best = shares.argmax(dim=0)
            rows = []
            for number in range(1, len(shares)):
                own = best == number
                parts = (shares[number][own], own, shares[number])
                rows.append(torch.stack([part.sum(dtype=torch.float64) for part in parts]))
            result[self.output] = torch.stack(rows).cpu() if rows else torch.zeros(0, 3, dtype=torch.float64)
        return result


class ExpectedDiced(MapTransform):
    """Add what Dice to expect of a case: ``{"expected", "low", "high", "confidence"}``, each in [0, 1].

    Args:
        keys: softmax maps ``K, spatial...``.
        checkpoint: weights, or the folder of their run. Where no calibration lies beside them nothing is added.
        output: key of the expectation.
    """

    def __init__(self, keys: KeysCollection, checkpoint: str | Path, output: str = "expected_dice") -> None:
        super().__init__(keys)
        self.calibration, self.output = Calibration.beside(checkpoint), output

    def __call__(self, data: Mapping[Hashable, Tensor]) -> dict[Hashable, Any]:
        result: dict[Hashable, Any] = dict(data)
        for key in self.key_iterator(result) if self.calibration is not None else ():
            sums = ConfidenceSumsd(key)(data)["confidence"]
            confidence = float(confidence_of(sums.numpy()).mean())
            middle, low, high = self.calibration(confidence)
            result[self.output] = {"expected": middle, "low": low, "high": high, "confidence": confidence}
        return result
