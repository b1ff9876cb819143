"""Files of segmenters: what was trained of one, a few MB beside the base checkpoint, or everything, merged."""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn

from common.errors import InputError, require_file
from common.files import atomic_path
from common.sam import SamSegmenter
from common.wheels import file_hash, locate

FORMAT_VERSION = 2
_LOG = logging.getLogger(__name__)


class SaveAdaptation:
    """When training ends well, save LoRA and decoder of the foundation network alone, a few MB beside the base file.

    Args:
        students: the trained networks; nothing is saved where none of them is a SAM.
        path: the file, which ``load_segmenter`` reads; not in ``models/``, as it is no plain state dict.
        settings: of the SAM; its ``checkpoint`` is the base file. Without one, the whole network is saved.
    """

    def __init__(self, students: nn.ModuleDict, path: str | Path, settings: Mapping) -> None:
        self.students, self.path, self.base = students, Path(path), settings.get("checkpoint")

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.COMPLETED, self.save)

    def save(self, engine: Engine) -> None:
        for network in self.students.values():
            if isinstance(network, SamSegmenter):
                save_segmenter(network, self.path, self.base)


def save_segmenter(segmenter: SamSegmenter, path: str | Path, base: str | Path | None = None) -> None:
    """Write a segmenter: how it is built (architecture, size, classes, preprocessing, LoRA) and its tensors.

    Args:
        segmenter: the network.
        path: of the file, for ``load_segmenter``.
        base: checkpoint that the segmenter started from: then only the decoder and what else learns is written, and
            the name and hash of ``base``. ``None`` writes every tensor, LoRA merged, for use without any other file.
    """
    saved = segmenter.merged() if base is None else segmenter
    tensors = saved.state_dict() if base is None else _own(saved)
    about = {
        "format_version": FORMAT_VERSION,
        "settings": saved.settings,
        "base": None if base is None else {"name": locate(base).name, "sha256": file_hash(base)},
    }
    plain = {name: value.detach().cpu().clone() for name, value in tensors.items()}
    with atomic_path(path) as temporary:
        torch.save({"about": json.dumps(about), "tensors": plain}, temporary)


def load_segmenter(path: str | Path, base: str | Path | None = None) -> SamSegmenter:
    """The segmenter in a file of ``save_segmenter``, on the CPU.

    Args:
        path: of the file.
        base: the checkpoint that it started from, where the file does not hold everything; another than the recorded
            one draws a warning.

    Raises:
        InputError: naming the file, if it is missing, no such file, needs ``base``, or its tensors do not fit.
    """
    about, tensors = _read(path)
    recorded = about["base"]
    if recorded is None:
        segmenter = SamSegmenter(**about["settings"])
        wanted = segmenter.state_dict()
    elif base is None:
        raise InputError(f"{path}: holds only what was trained; needs its base checkpoint {recorded['name']} (base)")
    else:
        segmenter = SamSegmenter(**about["settings"], checkpoint=base)
        wanted = _own(segmenter)
        if file_hash(base) != recorded["sha256"]:
            _LOG.warning(f"{path}: was trained on {recorded['name']}, not on {base}")
    for name in sorted(wanted.keys() ^ tensors.keys()):
        raise InputError(f"{path}: {name} is {'not in the file' if name in wanted else 'unknown to the segmenter'}")
    for name, value in wanted.items():
        if value.shape != tensors[name].shape:
            raise InputError(f"{path}: {name} has shape {tuple(tensors[name].shape)}, expected {tuple(value.shape)}")
    segmenter.load_state_dict(tensors, strict=False)
    return segmenter


def _own(segmenter: SamSegmenter) -> dict[str, Tensor]:
    """The tensors that no base checkpoint brings: all that learn, and the decoder, which may start at random."""
    named = segmenter.named_parameters()
    return {name: p for name, p in named if p.requires_grad or name.startswith("sam.mask_decoder.")}


def _read(path: str | Path) -> tuple[dict, dict[str, Tensor]]:
    require_file(path, "a segmenter is loaded from it")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        about, tensors = json.loads(content["about"]), dict(content["tensors"])
        version = about["format_version"]
    except (RuntimeError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError):
        raise InputError(f"{path}: not a file of a SAM segmenter, or damaged") from None
    if version != FORMAT_VERSION:
        raise InputError(f"{path}: format_version {version}, this version reads {FORMAT_VERSION}; save it again")
    return about, tensors
