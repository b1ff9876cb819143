"""What is held in memory."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

import torch
from torch import Tensor, nn

from ..run import BUNDLES
from . import references
from .contest import Contest, Result, times


def heads(device: str, patch: Sequence[int] = (64, 64, 48), foreground: float = 0.19, channels: int = 16) -> Contest:
    """SS-Net's separation, what it keeps for the gradient: all voxels, all pairs -> voxels that count, two means"""
    separation = _own().PrototypeSeparation(feature_channels=channels, rank="bottom", memory_attention=False).to(device)
    features = torch.randn(4, channels, *patch, device=device, requires_grad=True)
    order = torch.rand(4, *patch, device=device)
    classes = (order < torch.quantile(order.flatten()[:100_000], foreground)).long()
    slow = references.SSNetStep(nn.Identity(), separation, None, patch, 10.0)

    def reference() -> Result:
        slow._remember(features[:2].detach(), classes[:2] == 1)
        kept = kept_bytes(lambda: slow._contrast(features[:2], classes[:2]) + slow._contrast(features[2:], classes[2:]))
        return [0.0, kept]

    def ours() -> Result:
        return [0.0, kept_bytes(lambda: separation(features, classes, classes[:2]))]

    return Contest(f"batch 2 + 2, patch {times(patch)}, {foreground:.0%} foreground", reference, ours, 0, bytes=True)


def kept_bytes(call: Callable[[], Tensor]) -> float:
    """Bytes of all that a call keeps for its gradient, each piece of memory once."""
    pieces: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        pieces[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        held = call()
    return float(sum(pieces.values())) if held is not None else 0.0


def _own(bundle: str = "ssnet_segmentation", package: str = "ssnet"):
    """A bundle's package."""
    sys.path.insert(0, str(BUNDLES / bundle))
    return import_module(package)


CONTESTS = (heads,)
