"""SAMs small enough for tests."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from ..files import atomic_path
from .build import Sam, build_sam


def randomise_positions(sam: nn.Module, std: float = 0.02) -> nn.Module:
    """Fill the position tables, which start at zero, so that a test of their interpolation says something."""
    for name, parameter in sam.image_encoder.named_parameters():
        if name.endswith("pos_embed") or ".rel_pos_" in name:
            nn.init.normal_(parameter, std=std)
    return sam


def tiny_sam(img_size: int = 64, num_multimask_outputs: int = 3) -> Sam:
    """A random SAM of 102,275 parameters (64 pixels, three multimask outputs), in eval mode."""
    return randomise_positions(build_sam("tiny", img_size, num_multimask_outputs)).eval()


def write_tiny_checkpoint(path: str | Path, img_size: int = 128) -> Path:
    """The state dict of a random tiny SAM as a checkpoint file."""
    with atomic_path(path) as temporary:
        torch.save(tiny_sam(img_size).state_dict(), temporary)
    return Path(path)
