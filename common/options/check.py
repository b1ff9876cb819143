"""The check of all options of a run, before it reads any data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..errors import InputError
from .containers import Mapping as MappingType
from .containers import Sequence, inner
from .entries import holds_code, is_code, literal, quoted, split_id
from .names import hint
from .rules import check_rules, fitted_strides
from .table import Table
from .types import Option, Type, WrongValueError

TRAINED = "trained"  # settings of the weights, in an inference
UNKNOWN = object()  # a value that only MONAI can tell


class Written(Protocol):
    """What is checked: ``Entries`` before MONAI knows of them, or the ``Configuration`` that MONAI resolves."""

    def __iter__(self): ...

    def __contains__(self, id: str) -> bool: ...

    def written(self, id: str) -> Any:
        """The entry as it stands."""

    def replace(self, id: str, value: Any) -> None:
        """Let the entry be a value in its canonical form."""


def check_configuration(
    configuration: Written,
    base: Mapping[str, Any],
    table: Table,
    resolve: bool = False,
    origin: Callable[[str], str] | None = None,
) -> dict[str, Any]:
    """Check every option of a configuration and bring it to its canonical form.

    Args:
        configuration: the merged files and options.
        base: the first of the files: what replaces a component or a mapping of it must be whole. May be empty.
        table: types of the options.
        resolve: resolve references and expressions too, and check what they stand for. It takes MONAI, in a run.
        origin: from an id to what messages call it; ``--id`` by default.

    Returns:
        The values by name, of those options that are known.

    Raises:
        InputError: one line that names the option or file and says what was expected.
    """
    walk = _Walk(configuration, resolve, origin or (lambda id: f"--{id.replace('::', '#')}"))
    values: dict[str, Any] = {}
    for name in list(configuration):
        _require_whole(configuration.written(name), base.get(name), walk.origin(name), name)
        if name not in table:
            _require_parts(configuration.written(name), base.get(name), walk.origin, name)
        if name in table:
            values[name] = walk.value(name, table[name])
    known = {name: value for name, value in values.items() if value is not UNKNOWN}
    for name, stride in fitted_strides(known, base).items():
        configuration.replace(name, stride)
        known[name] = stride
    check_rules({**known, **_pooling(configuration, known, resolve)}, _multiple(configuration, base, table, resolve))
    for rule in table.rules:
        rule(known)
    return known


def option_of(table: Mapping[str, Option], id: str) -> Option | None:
    """The option of a nested id, ``sam#kind`` or ``patch_size#0``; ``None`` for what the table does not know."""
    name, *rest = split_id(id)
    option = table.get(name)
    for depth, part in enumerate(rest):
        kind = inner(option.type, {part: None}) if option else None
        if isinstance(kind, MappingType):
            option = kind.options.get(part)
        elif isinstance(kind := inner(option.type, [None]) if option else None, Sequence):
            option = Option("#".join([name, *rest[: depth + 1]]), kind.item, option.description)
        else:
            return None
    return option


class _Walk:
    """Goes through the values of a configuration along their types."""

    def __init__(self, configuration: Written, resolve: bool, origin: Callable[[str], str]) -> None:
        self.configuration, self.resolve, self.origin = configuration, resolve, origin

    def value(self, id: str, option: Option) -> Any:
        """Canonical value of the entry, which takes its place; ``UNKNOWN`` for one that only MONAI can tell."""
        written = self.configuration.written(id)
        kind = inner(option.type, written)
        if isinstance(kind, MappingType) and isinstance(written, Mapping) and written:
            return {key: self._entry(f"{id}::{key}", key, kind) for key in written}
        value = self._plain(id, written, kind)
        if value is UNKNOWN:
            return UNKNOWN
        canonical = option.parse(value, self.origin(id))
        if not holds_code(written) and not (same(written, canonical) and same(quoted(canonical), canonical)):
            self.configuration.replace(id, canonical)
        return canonical

    def _entry(self, id: str, key: str, kind: MappingType) -> Any:
        if key in kind.options:
            return self.value(id, kind.options[key])
        if kind.component:
            return UNKNOWN
        raise InputError(f"{self.origin(id)}: no such option in the configuration{hint(key, kind.options)}")

    def _plain(self, id: str, written: Any, kind: Type) -> Any:
        if not holds_code(written) or (kind.code and _takes(kind, written)):
            return written
        if isinstance(written, str):
            try:
                return literal(written)
            except ValueError:
                pass
        return self.configuration.value(id) if self.resolve else self._followed(id, written)  # type: ignore

    def _followed(self, id: str, written: Any) -> Any:
        """The value behind references to other options, as long as they lead to a plain one."""
        seen = [id]
        while isinstance(written, str) and written.startswith("@"):
            target = "::".join(split_id(written[1:]))
            if target in seen:
                raise InputError(f"{self.origin(id)}: refers to itself ({' -> '.join([*seen, target])})")
            if target not in self.configuration:
                raise InputError(f"{self.origin(id)}: {written} refers to nothing in the configuration")
            seen.append(target)
            written = self.configuration.written(target)
        return UNKNOWN if holds_code(written) else written


def same(one: Any, other: Any) -> bool:
    """Whether two plain values are equal, type for type."""
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def _takes(kind: Type, value: Any) -> bool:
    try:
        kind.parse(value)
    except WrongValueError:
        return False
    return True


def _pooling(configuration: Written, known: Mapping[str, Any], resolve: bool) -> dict[str, Any]:
    """How often the network of an inference halves each axis, which no option there says; nothing where one does."""
    network = configuration.written("network_def") if "network_def" in configuration else None
    if "pooling" in known:
        return {}
    if isinstance(network, Mapping):  # of a release
        halved = network.get("pooling")
        return {} if holds_code(halved) else {"pooling": halved}
    trained = configuration.value(TRAINED) if resolve and TRAINED in configuration else None  # type: ignore
    return {"pooling": trained.get("pooling")} if isinstance(trained, Mapping) else {}


def _multiple(configuration: Written, base: Mapping[str, Any], table: Table, resolve: bool) -> int:
    """What the extents of a patch must be a multiple of; 1 where the network is not the bundle's own, or not known."""
    network = configuration.written("network_def") if "network_def" in configuration else None
    if TRAINED in configuration and not resolve:
        return 1
    known = base.get("network_def", network)
    target, own = (node.get("_target_") if isinstance(node, Mapping) else node for node in (network, known))
    return table.patch_multiple if target == own else 1


def _require_parts(written: Any, base: Any, origin: Callable[[str], str], name: str) -> None:
    """Refuse what stands in the place of a component, or of a mapping of them, and is neither that nor a reference."""
    if name == "run" and base and not written:
        raise InputError(f"{origin(name)}: expected what is to be done")
    if not isinstance(base, Mapping) or is_code(written):
        return
    if not isinstance(written, Mapping):
        wanted = "a component with its _target_" if "_target_" in base else f"a mapping with {', '.join(base)}"
        raise InputError(f"{origin(name)}: expected {wanted}; {name}#... changes one of its values")
    for key in () if "_target_" in base else base.keys() & written.keys():
        _require_parts(written[key], base[key], origin, f"{name}#{key}")


def _require_whole(written: Any, base: Any, given: str, name: str) -> None:
    if not isinstance(written, Mapping) or not isinstance(base, Mapping):
        return
    if "_target_" in base and "_target_" not in written:
        raise InputError(f"{given}: expected a component with its _target_; {name}#... changes one argument of it")
    missing = [key for key in base if key not in written]
    if "_target_" not in base and "_target_" not in written and missing:
        raise InputError(f"{given}: without {', '.join(missing)}; {name}#... changes one of its values")
