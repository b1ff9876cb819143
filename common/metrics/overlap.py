"""Overlap of two binary masks."""

from __future__ import annotations

import numpy as np


def dice(pred: np.ndarray, label: np.ndarray) -> float:
    r""":math:`2 |A \cap B| / (|A| + |B|)` of two boolean masks; 0 when both are empty, as in medpy."""
    total = int(pred.sum()) + int(label.sum())
    return 2.0 * int((pred & label).sum()) / total if total else 0.0


def jaccard(pred: np.ndarray, label: np.ndarray) -> float:
    r""":math:`|A \cap B| / |A \cup B|` of two boolean masks; 0 when both are empty."""
    union = int((pred | label).sum())
    return int((pred & label).sum()) / union if union else 0.0
