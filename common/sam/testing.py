"""SAMs small enough for tests."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from ..files import atomic_path
from .build import Sam, build_sam


def randomise_positions(sam: nn.Module, std: float = 0.02) -> nn.Module:
    """Fill what starts at zero or one, tables of positions and statistics, so that tests of them say something."""
    for name, parameter in sam.image_encoder.named_parameters():
        if name.endswith(("pos_embed", "attention_biases")) or ".rel_pos_" in name:
            nn.init.normal_(parameter, std=std)
    for name, buffer in sam.image_encoder.named_buffers():
        if name.endswith("running_mean"):
            nn.init.normal_(buffer, std=std)
        elif name.endswith("running_var"):
            nn.init.uniform_(buffer, 0.5, 1.5)
    return sam


def tiny_sam(img_size: int = 64, num_multimask_outputs: int = 3, arch: str = "tiny") -> Sam:
    """A random SAM of 102,275 parameters (64 pixels, three multimask outputs), in eval mode; ``tiny_t``: a TinyViT."""
    return randomise_positions(build_sam(arch, img_size, num_multimask_outputs)).eval()


def write_tiny_checkpoint(path: str | Path, img_size: int = 128, arch: str = "tiny") -> Path:
    """The state dict of a random tiny SAM as a checkpoint file."""
    with atomic_path(path) as temporary:
        torch.save(tiny_sam(img_size, arch=arch).state_dict(), temporary)
    return Path(path)
