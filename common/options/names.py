"""Names of options: whether a configuration has them, and what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ..errors import InputError
from .entries import children, split_id

BUNDLE_OPTIONS = {  # of MONAI's command, not of the configuration
    *("run_id", "init_id", "final_id", "meta_file", "config_file", "logging_file", "tracking", "args_file"),
    *("workflow_name", "workflow_type", "properties_path"),
}
STRUCTURE = {"imports", "initialize", "preflight", "run", "finalize", "_meta_"}


def check_names(names: Iterable[str], content: Mapping[str, Any], known: Collection[str] = ()) -> None:
    """Raise ``InputError`` unless every name of an option is an id of the configuration, or of MONAI's command.

    Args:
        names: as given, ``sam#kind`` for a nested one.
        content: the merged configuration files.
        known: further names worth proposing.
    """
    for name in names:
        if name not in BUNDLE_OPTIONS and not name.startswith(("+", "_meta_")):
            _check_id(name, content, f"--{name}", known)


def check_keys(
    file: str,
    keys: Iterable[str],
    content: Mapping[str, Any],
    known: Collection[str],
    elsewhere: Collection[str] = (),
) -> None:
    """Raise ``InputError`` for a key of a file that is neither a known id nor one that something refers to.

    Args:
        file: its path.
        keys: of its entries.
        content: the merged configuration without the file.
        known: names of options, and ids that the file and what lies above it refer to.
        elsewhere: ids that are no mistake, but not worth proposing either.
    """
    for key in keys:
        top, *rest = split_id(key.lstrip("+"))
        if top == "layers":
            raise InputError(f"{file}: {key}: a file names no layers; give them before it, where it is given")
        if "#".join([top, *rest]) in known:
            continue
        if rest:
            _check_id(key.lstrip("+"), content, f"{file}: {key}", known)
        elif top not in content and top not in STRUCTURE and top not in elsewhere:
            raise InputError(f"{file}: {key}: no such option in the configuration{hint(top, [*content, *known])}")


def hint(name: str, known: Collection[str], above: Iterable[str] = ()) -> str:
    """What was probably meant, as the end of a message."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{'#'.join([*above, close[0]])}'?" if close else ""


def _check_id(id: str, content: Any, given: str, known: Collection[str]) -> None:
    walked, parts = content, split_id(id)
    for depth, part in enumerate(parts):
        if isinstance(walked, str) and walked.startswith("@"):
            return  # a reference: its target decides
        inside = children(walked)
        if part in inside:
            walked = inside[part]
        elif depth and depth == len(parts) - 1 and "_target_" in inside:
            return  # an argument that the file leaves at the component's default
        else:
            near = [*inside, *(known if not depth else ())]
            raise InputError(f"{given}: no such option in the configuration{hint(part, near, parts[:depth])}")
