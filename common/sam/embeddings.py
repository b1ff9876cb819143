"""Embeddings of a frozen image encoder, computed once per image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError, require_choice
from ..files import atomic_path

MODES = ("off", "ram", "disk")


class EmbeddingCache:
    """Half-precision embeddings by image, in memory or as one file each.

    0.5 MB per image for an input of 512 pixels, 2 MB for 1024, or 256 of LiteMedSAM. The settings (checkpoint, input
    size, preprocessing) are part of every key, so that a changed one never meets stale embeddings.

    Args:
        mode: ``ram`` (on the device that computed them), ``disk`` (for later runs too) or ``off`` (made every time).
        settings: everything the embedding of an image depends on, as plain values.
        folder: of the files, for ``disk``.
    """

    def __init__(self, mode: str = "ram", settings: Mapping | None = None, folder: str | Path | None = None) -> None:
        require_choice(mode=(mode, MODES))
        if mode == "disk" and folder is None:
            raise InputError("an embedding cache on disk needs a folder")
        self.mode, self.folder = mode, None if folder is None else Path(folder)
        self.settings = json.dumps(dict(settings or {}), sort_keys=True, default=str)
        self.kept: dict[str, Tensor] = {}

    def get(self, keys: Sequence[str], compute: Callable[[list[int]], Tensor], device: Any = None) -> Tensor:
        """Embeddings ``B, C, h, w`` of the images named by ``keys``.

        Args:
            keys: name of each image: a case, a file's hash.
            compute: embeddings of those images whose positions in ``keys`` it is given.
            device: where the result goes; ``None``: where they were computed or kept.
        """
        if self.mode == "off":
            return compute(list(range(len(keys))))
        names = [self._name(key) for key in keys]
        missing = [i for i, name in enumerate(names) if not self._has(name) and name not in names[:i]]
        if missing:
            for i, embedding in zip(missing, compute(missing).detach().half()):
                self._keep(names[i], embedding)
        return torch.stack([self._load(name).to(device).float() for name in names])

    def _name(self, key: str) -> str:
        return hashlib.sha256(f"{self.settings}\n{key}".encode()).hexdigest()[:32]

    def _has(self, name: str) -> bool:
        return name in self.kept or (self.mode == "disk" and self._path(name).is_file())

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.pt"

    def _keep(self, name: str, embedding: Tensor) -> None:
        if self.mode == "ram":
            self.kept[name] = embedding.clone()
            return
        with atomic_path(self._path(name)) as temporary:
            torch.save(embedding.cpu().clone(), temporary)

    def _load(self, name: str) -> Tensor:
        if self.mode == "ram":
            return self.kept[name]
        try:
            return torch.load(self._path(name), map_location="cpu", weights_only=True)
        except Exception as error:  # whatever a damaged file makes torch say
            raise InputError(f"{self._path(name)}: damaged embedding; delete the file to have it made again") from error
