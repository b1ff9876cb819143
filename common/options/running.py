"""The check of options inside a run, where MONAI has read the configuration."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from .check import check_configuration, option_of
from .command import Command, canonical
from .components import check_components, check_devices
from .context import Configuration, current_configuration
from .entries import Entries
from .explain import explain_uncaught, origin_of
from .layers import read_layer
from .names import check_names
from .stack import stacked
from .table import Table, table_of


def check_options(arguments: Sequence[str] | None = None, resolve: bool = True) -> dict[str, Any]:
    """Check the options of the run that this is a part of, and bring them to their canonical form.

    As a component of a configuration it checks the values there. Under ``python -m monai.bundle run`` it also reads the
    words of the command line, before fire took them for numbers or lists, and checks the names of options and the keys
    of files.

    Args:
        arguments: the command line, ``sys.argv`` by default; one that is no ``monai.bundle`` run is left alone.
        resolve: resolve references and expressions too, and check what they stand for and that the components of the
            configuration exist. Off where the run is not initialized yet.

    Returns:
        The values by name, of those options that are known.

    Raises:
        InputError: one line for whatever is wrong.
    """
    explain_uncaught()
    arguments = sys.argv if arguments is None else arguments
    typed = bool(arguments) and "monai" in arguments[0] and "bundle" in arguments[0]
    command = Command.of(arguments[1:]) if typed else Command()
    configuration = current_configuration()
    table = _table(command, configuration)
    base = _check_files(command, table)
    if configuration is None:
        return {}
    for name, word in command.options.items():
        if option_of(table, name) is not None and name in configuration:
            configuration.replace(name, canonical(name, word, table, quote=False))
    values = check_configuration(configuration, base, table, resolve, origin_of)
    if resolve:
        check_devices(values)
        check_components(configuration)
    return values


def check_ids(names: Iterable[str], config_files: str | Sequence[str] | Mapping) -> None:
    """Raise ``InputError`` unless every name is an id of the merged configuration files, or a bundle option."""
    if isinstance(config_files, Mapping):
        content = config_files
    else:
        files = [config_files] if isinstance(config_files, (str, Path)) else list(config_files)
        content = _merged(files).content
    check_names(names, content)


def _merged(files: Sequence[str]) -> Entries:
    layers = [read_layer(file) for file in files]
    entries = Entries(layers[0].content, layers[0].file)
    for layer in layers[1:]:
        entries.merge(layer.content, layer.file)
    return entries


def _table(command: Command, configuration: Configuration | None) -> Table:
    root, base = command.options.get("bundle_root", "."), "train"
    if configuration is not None:
        root = configuration.value("bundle_root") if "bundle_root" in configuration else root
        base = "train" if "train" in configuration else "inference"
    return table_of(root if isinstance(root, str) else ".", base)


def _check_files(command: Command, table: Table) -> Mapping[str, Any]:
    """Check the names of options and the keys of files of MONAI's command; the content of its first file."""
    given = command.options.get("config_file")
    if not isinstance(given, str):
        return {}
    files = _files(given)
    entries = stacked(files, table, [Path(files[0]).resolve().parent])
    check_names(command.options, entries.content)
    return entries.first


def _files(given: str) -> list[str]:
    if given.startswith(("[", "(")):
        try:
            return [str(file) for file in ast.literal_eval(given)]
        except (SyntaxError, ValueError):
            raise InputError(f"--config_file {given}: expected a file or a list of files") from None
    return [given] if Path(given).is_file() else given.split(",")
