"""The configuration that MONAI is resolving, for a component that stands in it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from monai.bundle import ConfigItem, ConfigParser
from monai.bundle.reference_resolver import ReferenceResolver

from .entries import children, quoted

PLAIN = (str, int, float, bool, type(None))


class Configuration:
    """Merged configuration files and options, as written and as resolved.

    Args:
        resolver: of a parser, whose items are the configuration's entries by id (``train::trainer::max_epochs``).
    """

    def __init__(self, resolver: ReferenceResolver) -> None:
        self.resolver = resolver

    @classmethod
    def of(cls, parser: ConfigParser) -> Configuration:
        """That of a parser, parsed if it is not yet."""
        if not parser.ref_resolver.items:
            parser.parse()
        return cls(parser.ref_resolver)

    def __contains__(self, id: str) -> bool:
        return self.resolver.normalize_id(id) in self.resolver.items

    def __iter__(self) -> Iterator[str]:
        """Top-level ids, in the order of the files."""
        return (id for id in self.resolver.items if id and "::" not in id)

    def written(self, id: str) -> Any:
        """The entry as the files and options have it; unchanged as long as nothing has resolved it."""
        return self.resolver.items[self.resolver.normalize_id(id)].get_config()

    def value(self, id: str) -> Any:
        """The entry resolved: evaluated, instantiated."""
        return self.resolver.get_resolved_content(id)

    def replace(self, id: str, value: Any) -> None:
        """Let the entry be ``value``, taken as it stands, wherever it is referred to, unless it was resolved before."""
        id = self.resolver.normalize_id(id)
        above, _, last = id.rpartition("::")
        if above in self.resolver.items:  # what refers to the whole sees its parts as they are written there
            whole = self.resolver.items[above].get_config()
            whole[int(last) if isinstance(whole, list) else last] = quoted(value)
        self._put(id, value)

    def _put(self, id: str, value: Any) -> None:
        self.resolver.items[id] = ConfigItem(config=value, id=id)
        self.resolver.resolved_content[id] = value
        for key, child in children(value).items():
            self._put(f"{id}::{key}", child)

    def literal(self, id: str) -> Any:
        """The entry with plain values in place of references and expressions, as JSON takes it.

        A component stays a dictionary with its ``_target_``; ``_requires_``, which speaks of imports, is left out.

        Raises:
            ValueError: naming the id, for an entry whose value is no number, text, list or mapping of those.
        """
        written = self.written(id)
        if isinstance(written, Mapping):
            keys = [key for key in written if key != "_requires_"]
            return {key: self.literal(f"{id}::{key}") for key in keys}
        if isinstance(written, (list, tuple)) and all(f"{id}::{position}" in self for position in range(len(written))):
            return [self.literal(f"{id}::{position}") for position in range(len(written))]
        return _plain(self.value(id), id)


def _plain(value: Any, id: str) -> Any:
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(child, id) for child in value]
    if isinstance(value, Mapping) and all(isinstance(key, (str, int)) for key in value):
        return {str(key): _plain(child, id) for key, child in value.items()}
    raise ValueError(f"{id}: its value is no plain data ({type(value).__name__})")


def current_configuration() -> Configuration | None:
    """The configuration whose entry is being resolved, ``None`` outside one.

    MONAI hands a component its arguments and nothing else, so the resolver is looked up on the call stack.
    """
    frame = sys._getframe(1)
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, ReferenceResolver):
            return Configuration(owner)
        frame = frame.f_back
    return None
