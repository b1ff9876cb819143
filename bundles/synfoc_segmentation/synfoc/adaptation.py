"""The small file of what was trained of a SAM."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ignite.engine import Engine, Events
from torch import nn

from common.sam import SamSegmenter, save_segmenter


class SaveAdaptation:
    """When training ends well, save LoRA and decoder of the foundation network alone, a few MB beside the base file.

    Args:
        students: the trained networks; nothing is saved where none of them is a SAM.
        path: the file, which ``common.sam.load_segmenter`` reads; not in ``models/``, as it is no plain state dict.
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
