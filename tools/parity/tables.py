"""The tables of comparisons with published code, which stand beside the recordings in the repository's tests."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

from common.errors import InputError
from common.options.names import hint

from ..run import BUNDLES, REPOSITORY

RECORDINGS = REPOSITORY / "tests" / "oracles"
TABLE, PEER = "comparisons", "peer"  # modules of a method's folder there


def known_methods() -> list[str]:
    """Methods with recordings; ``InputError`` where there is no clone of the repository around the package."""
    if not RECORDINGS.is_dir():
        raise InputError(f"{RECORDINGS}: not here; parity needs a clone of the repository, not an installed package")
    return sorted(path.parent.name for path in RECORDINGS.glob(f"*/{TABLE}.py") if _has_table(path))


def method_of(name: str) -> str:
    """A method by its name or its bundle's; ``InputError`` for one of which nothing is recorded."""
    method, known = str(name).removesuffix("_segmentation"), known_methods()
    if method not in known:
        raise InputError(f"{name}: nothing is recorded of its published code; there are {known}{hint(method, known)}")
    return method


def module_of(method: str, name: str) -> ModuleType:
    """Module ``comparisons`` or ``peer`` of a method."""
    for folder in (REPOSITORY, *sorted(BUNDLES.glob("*_segmentation"))):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    return import_module(f"tests.{RECORDINGS.name}.{method}.{name}")


def _has_table(path: Path) -> bool:
    return "\nTABLE = " in path.read_text(encoding="utf-8")
