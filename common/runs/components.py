"""Components of a training built again from ``settings.json``: its text is data, and only parts of models are built."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from pydoc import ErrorDuringImport, locate
from typing import Any

from monai.bundle import ConfigComponent, ConfigParser

from ..errors import InputError
from ..options.entries import quoted

COMMON = __package__.rpartition(".")[0]  # ``common``, or ``<package>.common`` in a release
PARTS = ("data", "datasets", "networks", "sam", "transforms")  # of it that hold components of a model
LIBRARIES = ("monai.networks", "torch.nn")
KEYS = ("_target_", "_desc_")  # of MONAI's; others change what a component does


def packages_of(bundle_root: str | Path) -> list[str]:
    """Names of the Python packages of a bundle."""
    return sorted(file.parent.name for file in Path(bundle_root).glob("*/__init__.py"))


def build(written: Mapping, packages: Collection[str], named: Collection[str], source: str) -> Any:
    """Build a component whose strings count as they stand: none is an expression or a reference.

    A file of settings may come from strangers, so it cannot name just anything to be called: only classes and functions
    of the bundle's packages, of ``PARTS`` and of ``LIBRARIES``, and what the user named.

    Args:
        written: the component with plain values.
        packages: of the bundle.
        named: further targets that files of the user name.
        source: what error messages call the settings.

    Raises:
        InputError: for another target, or a key that would make it more than a component.
    """
    require_parts(written, packages, named, source)
    return ConfigParser({"component": as_data(written)}).get_parsed_content("component")


def as_data(node: Any) -> Any:
    """The configuration in which every string but a ``_target_`` counts as it stands."""
    if next(targets_of(node), None) is None:
        return quoted(node)
    if isinstance(node, Mapping):
        return {key: child if key == "_target_" else as_data(child) for key, child in node.items()}
    return [as_data(child) for child in node]


def require_parts(written: Mapping, packages: Collection[str], named: Collection[str], source: str) -> None:
    """Raise ``InputError`` for a component of ``written`` that is no part of a model, see ``build``."""
    known = (*(f"{COMMON}.{part}" for part in PARTS), *packages, *LIBRARIES)
    for component in targets_of(written):
        target = component["_target_"]
        if wrong := [key for key in component if str(key).startswith("_") and key not in KEYS]:
            raise InputError(f"{source}: {target}: the key {wrong[0]} is none of a setting")
        if not isinstance(target, str) or (target not in named and not _is_part(target, known)):
            raise InputError(
                f"{source}: {target!r} is no part of this bundle or its libraries; if the weights are your own, name "
                "the configuration files they were trained with (layers)"
            )


def targets_of(node: Any) -> Iterator[Mapping]:
    """All components in nested lists and mappings."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield node
        for child in node.values():
            yield from targets_of(child)
    elif isinstance(node, (list, tuple)):
        for child in node:
            yield from targets_of(child)


def _is_part(target: str, known: Collection[str]) -> bool:
    """Whether a target is a class or function that one of the known packages defines."""
    if not all(word.isidentifier() for word in target.split(".")):
        return False
    path = ConfigComponent({"_target_": target}).resolve_module_name()
    if not _inside(path, known):
        return False
    try:
        found = locate(path)
    except ErrorDuringImport:
        return True  # of a known package; whoever builds it says what is wrong
    return (inspect.isclass(found) or inspect.isfunction(found)) and _inside(found.__module__, known)


def _inside(path: str, known: Collection[str]) -> bool:
    return any(path == package or path.startswith(f"{package}.") for package in known)
