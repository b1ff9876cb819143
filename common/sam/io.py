"""Files of what was trained of a SAM: the adaptation alone, or everything."""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from ..errors import InputError, require_file
from ..files import atomic_path
from .embeddings import file_hash

FORMAT_VERSION = 1


def save_trainable(
    network: nn.Module, path: str | Path, settings: Mapping | None = None, base: str | Path | None = None
) -> None:
    """Write the tensors of ``network`` that learn, a few MB, and what is needed to use them again.

    Args:
        network: with frozen and trained parameters.
        path: of the file.
        settings: plain values: architecture, size, preprocessing, classes, LoRA.
        base: checkpoint that the frozen rest came from; its name and hash are recorded.
    """
    about = {
        "format_version": FORMAT_VERSION,
        "settings": dict(settings or {}),
        "base": None if base is None else {"name": Path(base).name, "sha256": file_hash(base)},
    }
    tensors = {name: p.detach().cpu().clone() for name, p in network.named_parameters() if p.requires_grad}
    with atomic_path(path) as temporary:
        torch.save({"about": json.dumps(about), "tensors": tensors}, temporary)


def load_trainable(network: nn.Module, path: str | Path, base: str | Path | None = None) -> dict:
    """Fill the parameters of ``network`` that learn from a file of ``save_trainable``, and return its settings.

    Args:
        network: built as the saved one was.
        path: of the file.
        base: checkpoint that ``network`` was built from; another than the recorded one draws a warning.

    Raises:
        InputError: naming the file, if it is missing, no such file, or its tensors are not those that learn.
    """
    require_file(path, "trained SAM tensors")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        about, tensors = json.loads(content["about"]), content["tensors"]
    except (RuntimeError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError):
        raise InputError(f"{path}: not a file of trained SAM tensors") from None
    if about.get("format_version") != FORMAT_VERSION:
        raise InputError(f"{path}: format_version {about.get('format_version')}, expected {FORMAT_VERSION}")
    wanted = {name: p for name, p in network.named_parameters() if p.requires_grad}
    for name in sorted(wanted.keys() ^ tensors.keys()):
        raise InputError(f"{path}: {name} is {'not in the file' if name in wanted else 'no tensor that learns here'}")
    for name, parameter in wanted.items():
        if parameter.shape != tensors[name].shape:
            raise InputError(
                f"{path}: {name} has shape {tuple(tensors[name].shape)}, expected {tuple(parameter.shape)}"
            )
    recorded = about["base"]
    if base is not None and recorded is not None and file_hash(base) != recorded["sha256"]:
        logging.getLogger(__name__).warning(f"{path}: was trained on {recorded['name']}, not on {base}")
    with torch.no_grad():
        for name, parameter in wanted.items():
            parameter.copy_(tensors[name])
    return about["settings"]
