"""The machine to train on, and the memory that a training step of a method takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch import nn

from common.errors import InputError, require_choice
from common.memory import free_memory

from .method import Method

GIB = 2**30
COPIES = 4  # of every weight: itself, its gradient, its momentum, the teacher's
UNKNOWN = 8.0 * GIB  # taken where the system does not say what is free
SHARE = 0.7  # of the memory that a plan may fill


@dataclass(frozen=True)
class Machine:
    """Device to plan for and its memory in bytes."""

    device: str
    memory: float


def this_machine(device: str = "auto", memory: float | None = None) -> Machine:
    """The machine at hand; ``memory`` in GiB replaces what it has, to plan for another one.

    Raises:
        InputError: for a GPU without ``memory`` where there is none.
    """
    require_choice(device=(device, ("auto", "cpu", "cuda")))
    found = torch.cuda.is_available()
    device = ("cuda" if found else "cpu") if device == "auto" else device
    if memory is not None:
        return Machine(device, memory * GIB)
    if device == "cuda":
        if not found:
            raise InputError("device=cuda: there is none here; give its memory in GiB to plan for it (memory)")
        return Machine(device, float(torch.cuda.get_device_properties(0).total_memory))
    free = free_memory()
    return Machine(device, UNKNOWN if free is None else free)


@dataclass(frozen=True)
class Cost:
    """Memory of a training step: bytes per voxel of a sample, and bytes whatever the patch."""

    per_voxel: float
    fixed: float

    def of(self, patch: Sequence[int], samples: int) -> float:
        """Bytes for a batch, in single precision: an upper bound with automatic mixed precision."""
        return self.fixed + self.per_voxel * float(torch.Size(patch).numel()) * samples


def cost_of(
    method: Method,
    channels: int,
    classes: int,
    dims: int,
    options: Mapping[str, Any] | None = None,
) -> Cost:
    """Measure a bundle's networks on a small patch: what a forward pass keeps for the gradient, and the weights.

    Args:
        method: the bundle.
        channels: of the images.
        classes: background included.
        dims: of the patch.
        options: further settings. A SAM is not measured.
    """
    parser = ConfigParser()
    parser.read_config(str(method.train))
    patch = (64, 64) if dims == 2 else (32, 32, 32)
    settings = {"bundle_root": str(method.root), "num_classes": classes, "in_channels": channels}
    settings |= {"patch_size": list(patch), **method.facts.without_sam, **(options or {})}
    for key, value in settings.items():
        parser[key] = value
    network = parser.get_parsed_content(method.facts.networks).train()
    members = network.values() if isinstance(network, nn.ModuleDict) else getattr(network, "networks", [network])
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    outputs = []
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        for part in members:
            outputs.append(part(torch.zeros(2, channels, *patch)))
    weights = {p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for p in network.parameters()}
    activations = sum(size for pointer, size in kept.items() if pointer not in weights)
    return Cost(
        method.facts.passes * activations / (2 * torch.Size(patch).numel()), COPIES * float(sum(weights.values()))
    )
