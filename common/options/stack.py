"""The files and options of a command, one on top of the other, each read and checked as the user's own."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .check import check_configuration, option_of
from .code import check_code
from .command import canonical
from .containers import takes_text
from .entries import Entries, references, split_id
from .layers import Layer, read_layer
from .names import BUNDLE_OPTIONS, check_keys, check_names
from .places import require_place
from .table import Table, table_of

TOP_LEVEL = re.compile(r'^(?: {4}")?([A-Za-z_]\w*)"?:', re.MULTILINE)  # of YAML, and of JSON as releases have it


def stacked(files: Sequence[str | Path], table: Table, trusted: Collection[Path] = ()) -> Entries:
    """Configuration files merged in their order.

    Args:
        files: the first is the one that the others change.
        table: types of the options.
        trusted: folders whose files may bring entries of any name; those of others may bring what the configuration
            knows, what something refers to, and what another bundle beside this one knows: a file may suit several.

    Raises:
        InputError: naming the file, and the key or line, for what cannot be read or is not known.
    """
    layers = [read_layer(file) for file in files]
    folder = Path(files[0]).resolve().parent
    entries = Entries(layers[0].content, Path(layers[0].file).name)
    for layer in layers[1:]:
        known = Path(layer.file).resolve().parent in trusted
        if not known:
            used = {part for other in layers for id in references(other.content) for part in _prefixes(id)}
            check_keys(layer.file, layer.content, entries.content, {*table, *used}, ids_nearby(folder))
        entries.merge(layer.content, Path(layer.file).name if known else layer.file)
        _take_words(entries, layer, table)
    for layer in layers[1:]:
        if Path(layer.file).resolve().parent not in trusted:
            check_code(layer, entries)
    return entries


def _prefixes(id: str) -> Iterator[str]:
    return itertools.accumulate(split_id(id), lambda above, part: f"{above}#{part}")


def _take_words(entries: Entries, layer: Layer, table: Table) -> None:
    """Where an option is text, what YAML took for a number, a date or a truth value counts as it was written."""
    for key, word in layer.words.items():
        option, value = option_of(table, key), layer.content.get(key)
        if option is not None and takes_text(option.type) and not isinstance(value, (str, type(None))):
            entries.replace(key, option.parse(word, entries.origin(key)))


def ids_nearby(configs: Path) -> set[str]:
    """Ids that the configurations of a bundle, and of the bundles beside it, define."""
    files = [file for file in configs.parent.parent.glob("*/configs/*") if file.suffix in (".yaml", ".json")]
    named = (file for file in files if file.stem in ("train", "inference", "evaluate"))
    return {id for file in named for id in TOP_LEVEL.findall(file.read_text(encoding="utf-8"))}


def checked(
    files: Sequence[str | Path],
    options: Mapping[str, Any],
    bundle_root: str | Path,
    base: str = "train",
    trusted: Collection[Path] = (),
    carried: Sequence[Layer] = (),
    reads: bool = True,
) -> Entries:
    """All that a command says, checked before anything is built; what MONAI must be told is in ``changed``.

    Args:
        files: configuration files in order.
        options: by id; words of a command line, or values of Python.
        bundle_root: folder of the bundle.
        base: ``train`` or ``inference``.
        trusted: see ``stacked``; the bundle's own configurations always are.
        carried: entries of other files that count too, as far as they are options of this configuration.
        reads: the files and folders that are named are read, so they must be there.

    Raises:
        InputError: one line for whatever is wrong.
    """
    table = table_of(bundle_root, base)
    own = (Path(bundle_root) / "configs").resolve()
    entries = stacked(files, table, (own, *trusted))
    for layer in carried:
        for name, value in layer.content.items():
            entries.give(name, value, f"{layer.file}: {name}")
    names = {name: value for name, value in options.items() if name not in BUNDLE_OPTIONS}
    check_names(names, entries.content)
    for name, value in names.items():
        entries.give(name, canonical(name, value, table), f"--{name}")
    check_configuration(entries, entries.first, table, origin=entries.origin)
    for id in entries.origins if reads else ():
        require_place(entries, option_of(table, id), id)
    return entries
