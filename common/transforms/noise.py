"""Additive noise of the mean-teacher family."""

from __future__ import annotations

import torch
from torch import Tensor


def clamped_noise(image: Tensor, std: float = 0.1, clip: float = 0.2) -> Tensor:
    """``image`` plus Gaussian noise of deviation ``std`` clamped to ``[-clip, clip]`` (UA-MT, MICCAI 2019)."""
    return image + (torch.randn_like(image) * std).clamp(-clip, clip)
