"""Mistyped options are errors here; MONAI alone would take them for new configuration entries."""

from __future__ import annotations

import ast
import difflib
import sys
from collections.abc import Iterable, Mapping, Sequence

from monai.bundle import ConfigParser

from ..errors import InputError

BUNDLE_OPTIONS = {
    *("run_id", "init_id", "final_id", "meta_file", "config_file", "logging_file", "tracking", "args_file"),
    *("workflow_name", "workflow_type", "properties_path"),
}


def check_options(arguments: Sequence[str] | None = None) -> None:
    """Raise ``InputError`` for an option of ``python -m monai.bundle run`` that no configuration file defines.

    Args:
        arguments: the command line, ``sys.argv`` by default; one that is no ``monai.bundle`` run is left alone.
    """
    arguments = sys.argv if arguments is None else arguments
    if not arguments or "monai" not in arguments[0] or "bundle" not in arguments[0]:
        return
    given = _options(arguments[1:])
    if "config_file" in given:
        files = given["config_file"]
        check_ids(given, ast.literal_eval(files) if files.startswith("[") else files)


def check_ids(names: Iterable[str], config_files: str | Sequence[str]) -> None:
    """Raise ``InputError`` unless every name is an id of the merged configuration files, or a bundle option."""
    config = ConfigParser.load_config_files(config_files)
    for name in names:
        if name not in BUNDLE_OPTIONS and not name.startswith(("+", "_meta_")):
            _check_id(name, config)


def _options(arguments: Sequence[str]) -> dict[str, str]:
    given = {}
    for position, argument in enumerate(arguments):
        if argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            following = arguments[position + 1] if position + 1 < len(arguments) else ""
            given[name] = value if equals else following
    return given


def _check_id(name: str, config: object) -> None:
    walked, parts = config, name.replace("::", "#").split("#")
    for depth, part in enumerate(parts):
        if isinstance(walked, str) and walked.startswith("@"):
            return  # a reference: its target decides
        children = _children(walked)
        if part in children:
            walked = children[part]
        elif depth and depth == len(parts) - 1 and "_target_" in children:
            return  # an argument that the file leaves at the component's default
        else:
            close = difflib.get_close_matches(part, children, n=1)
            hint = f"; did you mean '{'#'.join([*parts[:depth], close[0]])}'?" if close else ""
            raise InputError(f"--{name}: no such option in the configuration{hint}")


def _children(node: object) -> dict[str, object]:
    if isinstance(node, Mapping):
        return dict(node)
    return {str(i): child for i, child in enumerate(node)} if isinstance(node, list) else {}


def whole_epochs(iterations: int, epoch_length: int) -> int:
    """Number of epochs that make up ``iterations`` exactly; ``InputError`` when there is none."""
    if epoch_length < 1 or iterations < 1 or iterations % epoch_length:
        raise InputError(f"iterations={iterations} must be a positive multiple of epoch_length={epoch_length}")
    return iterations // epoch_length
