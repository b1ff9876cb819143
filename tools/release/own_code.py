"""Whether the configuration that a run kept holds code that its bundle does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.options.entries import is_literal
from common.options.layers import read_layer
from common.runs import Settings


def require_own_code(trained: Settings, files: Iterable[Path]) -> None:
    """Raise ``InputError`` for code in the configuration of a run that none of the files holds.

    A run's folder may come from strangers; what is packaged of it is run. References, which lead to entries of the same
    configuration, and expressions that are nothing but text or numbers are no code.

    Args:
        trained: settings of the run.
        files: configuration files that are trusted: those of the bundle, and those the user names.
    """
    known = {code for file in files for _, code in code_in(read_layer(file).content)}
    for id, code in code_in(trained.configuration):
        if code not in known:
            raise InputError(
                f"{trained.source}: {id} holds code that this bundle does not: {code[:80]}; if the run is your own, "
                "put the file that brought it into the bundle's configs"
            )


def code_in(node: Any, id: str = "") -> Iterator[tuple[str, str]]:
    """Ids and text of the expressions and macros in a configuration, and of what its components call."""
    if isinstance(node, Mapping):
        for key, child in node.items():
            below = f"{id}#{key}" if id else str(key)
            if key == "_target_":
                yield below, f"_target_ {child}"
            else:
                yield from code_in(child, below)
    elif isinstance(node, (list, tuple)):
        for number, child in enumerate(node):
            yield from code_in(child, f"{id}#{number}")
    elif isinstance(node, str) and node.startswith(("$", "%")) and not is_literal(node):
        yield id, node.replace("#", "::")  # as MONAI keeps it
