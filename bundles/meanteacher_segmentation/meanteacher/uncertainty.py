"""Predictive uncertainty of the teacher by Monte-Carlo passes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from common.transforms import clamped_noise


@torch.no_grad()
def monte_carlo_uncertainty(teacher: nn.Module, image: Tensor, passes: int = 8, noise_std: float = 0.1) -> Tensor:
    """Log of the mean softmax map over noisy passes of a teacher with active dropout; ``B, C, ...``.

    Its ``entropy`` is the uncertainty of UA-MT (equation 4). Two passes share a forward.

    Args:
        teacher: network in training mode.
        image: ``B, 1, spatial``.
        passes: even number of stochastic passes (8 in UA-MT).
        noise_std: deviation of the input noise, clamped to twice that.
    """
    if passes < 2 or passes % 2:
        raise ValueError(f"passes must be even and positive, got {passes}")
    doubled = torch.cat([image, image])
    total = 0.0
    for _ in range(passes // 2):
        logits = teacher(clamped_noise(doubled, noise_std, 2 * noise_std))
        total = total + sum(logits.float().softmax(dim=1).chunk(2))
    return (total / passes).clamp(min=1e-12).log()
