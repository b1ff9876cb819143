"""Additive noise of the mean-teacher family."""

from __future__ import annotations

import torch
from torch import Tensor


def clamped_noise(
    image: Tensor, std: float = 0.1, clip: float = 0.2, generator: torch.Generator | None = None
) -> Tensor:
    """``image`` plus Gaussian noise of deviation ``std`` clamped to ``[-clip, clip]`` (UA-MT, MICCAI 2019).

    As large as the image, it is drawn on the image's device, or on that of the ``generator``.
    """
    where = image.device if generator is None else generator.device
    noise = torch.empty_like(image, device=where).normal_(generator=generator).to(image.device)
    return image + (noise * std).clamp(-clip, clip)
