"""A released bundle says in its own files how its weights were trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import read_json
from ..options.context import Configuration
from .contradictions import FREE, same
from .settings import options_of

INFERENCE = Path("configs") / "inference.json"


def refuse_changed(configuration: Configuration) -> None:
    """Raise ``InputError`` for an option that differs from how the weights of a released bundle were trained.

    Its ``inference.json`` holds the values in the place of references to settings, also inside its components, where
    an option of the command line does not reach. A configuration that asks the weights themselves is left alone.
    """
    file = Path(str(configuration.value("bundle_root"))) / INFERENCE
    if "trained" in configuration or not file.is_file():
        return
    released: Mapping[str, Any] = read_json(file, "it should hold the configuration of a release", dict)
    for id in options_of(released):
        if id not in FREE and id in configuration:
            _compare(id, released[id], configuration.literal(id))


def _compare(name: str, trained: Any, value: Any) -> None:
    if isinstance(trained, Mapping) and isinstance(value, Mapping):
        for key in trained.keys() & value.keys():
            _compare(f"{name}#{key}", trained[key], value[key])
    elif not same(trained, value) and not str(trained).startswith(("$", "@")):
        raise InputError(
            f"--{name} {value}: the released weights were trained with {name} {trained}; leave the option out"
        )
