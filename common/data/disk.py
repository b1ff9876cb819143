"""Decoded cases on a disk, mapped into memory: data sets that are larger than memory, decoded once for all runs."""

from __future__ import annotations

import enum
import hashlib
import inspect
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.utils import ensure_tuple
from torch import Tensor

from ..datasets.sums import sha256, sum_of
from ..errors import InputError, is_full

PLACE = "FEW_LABEL_CACHE"  # environment variable that names another folder
FORMAT = 1
CASE = "case.json"
FILES = ("image", "label")
SHARE = 0.5  # of the free memory, that decoded cases may fill before they are kept on a disk


def cache_folder() -> Path:
    """Where decoded cases are kept; the folder may be removed at any time when no run is going on."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get(PLACE) or Path(home) / "few-label")


class DiskCache:
    """Tensors of decoded cases, by the contents of their files and by what was done to them.

    An entry is a folder with one array for each tensor, which appears whole or not at all, so that several runs and
    processes may share the place. What is read equals what was decoded, bit by bit, and takes memory only as far as the
    system likes to keep it. An entry that is cut short or lacks a file is made anew.

    Args:
        transform: deterministic chain from paths to tensors; another one, or another version of its code, has entries
            of its own.
        folder: ``cache_folder()`` by default.
    """

    def __init__(self, transform: Callable | None, folder: Path | None = None) -> None:
        self.folder = cache_folder() if folder is None else folder
        self.what = hashlib.sha256(repr((FORMAT, describe(transform))).encode()).hexdigest()

    def place(self, item: Mapping) -> Path:
        """Folder of a case's entry."""
        sums = {key: sum_of(ensure_tuple(item[key])) for key in FILES if key in item}
        key = hashlib.sha256(json.dumps([self.what, sums]).encode()).hexdigest()
        return self.folder / key[:2] / key

    def read(self, item: Mapping) -> tuple[dict[str, Tensor], list[int]] | None:
        """Tensors of a case, mapped, and the classes of its label; ``None`` where there is no sound entry."""
        place = self.place(item)
        try:
            known = json.loads((place / CASE).read_text(encoding="utf-8"))
            if any((place / f"{name}.npy").stat().st_size != size for name, size in known["sizes"].items()):
                return None
            # copy-on-write, as torch wants arrays that may be written; nothing writes to them
            arrays = {name: np.load(place / f"{name}.npy", mmap_mode="c") for name in known["sizes"]}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):  # torn, or of a stranger
            return None
        return {name: torch.from_numpy(array) for name, array in arrays.items()}, known["present"]

    def write(self, item: Mapping, tensors: Mapping[str, Tensor], present: set[int]) -> None:
        """Keep the tensors of a case.

        Raises:
            InputError: where the place is full or cannot be written.
        """
        place = self.place(item)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            made = Path(tempfile.mkdtemp(prefix=".partial-", dir=place.parent))
            try:
                for name, tensor in tensors.items():
                    np.save(made / f"{name}.npy", tensor.numpy())
                sizes = {name: (made / f"{name}.npy").stat().st_size for name in tensors}
                text = json.dumps({"sizes": sizes, "present": sorted(present)})
                (made / CASE).write_text(text, encoding="utf-8")
                shutil.rmtree(place, ignore_errors=True)  # what is there is not sound
                os.replace(made, place)
            finally:
                shutil.rmtree(made, ignore_errors=True)
        except OSError as error:
            if self.read(item) is not None:  # another process was faster
                return
            why = "is full" if is_full(error) else f"cannot be written ({error.strerror})"
            raise InputError(
                f"{self.folder}: {why}; decoded images are kept there, {PLACE} names another folder"
            ) from None


def describe(thing: Any, depth: int = 12) -> Any:
    """What decides the result of a transform, as plain values: its class, the source of that class, its settings."""
    if thing is None or isinstance(thing, (bool, int, float, complex, str, bytes)):
        return thing
    if depth == 0:
        raise InputError(f"{type(thing).__name__}: nested too deeply to be told from others; cache_device: cpu")
    if isinstance(thing, (np.ndarray, np.generic, Tensor)):
        array = np.asarray(thing)
        return array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).hexdigest()
    if isinstance(thing, (enum.Enum, torch.dtype, torch.device, np.dtype, Path, slice, range)):
        return repr(thing)
    if isinstance(thing, Mapping):
        return [(describe(key, depth - 1), describe(value, depth - 1)) for key, value in thing.items()]
    if isinstance(thing, (list, tuple)):
        return [describe(part, depth - 1) for part in thing]
    if isinstance(thing, (set, frozenset)):
        return sorted(repr(describe(part, depth - 1)) for part in thing)
    if inspect.isroutine(thing) or inspect.isclass(thing):
        return thing.__module__, thing.__qualname__
    kind, own = type(thing), getattr(thing, "__dict__", {})
    settings = [(name, describe(value, depth - 1)) for name, value in sorted(own.items()) if not _is_scratch(name)]
    return kind.__module__, kind.__qualname__, _source_of(kind), settings


def _is_scratch(name: str) -> bool:
    return name in ("R", "filenames", "_tracing") or "lock" in name or "lazy" in name


def _source_of(kind: type) -> str:
    """Sum of the file that a class is written in, which changes with its code."""
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return sha256(file) if file else ""
