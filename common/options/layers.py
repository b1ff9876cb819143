"""Reading of configuration files that a user brings: bounded, and with one line for whatever is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..errors import InputError, require_file
from ..files import unique

ENDINGS = (".yaml", ".yml", ".json")
LARGEST = 2**20  # bytes of a file
DEEPEST = 30  # lists and mappings inside each other
MOST = 50_000  # values of a file, those behind aliases counted as often as they appear


@dataclass(frozen=True)
class Layer:
    """One configuration file.

    Attributes:
        file: its path, as messages call it.
        content: entries by id.
        words: the top-level entries that are written without quotes, as they are written: ``2024_01`` is a number to
            YAML.
    """

    file: str
    content: dict[str, Any]
    words: dict[str, str] = field(default_factory=dict)


def read_layer(path: str | Path) -> Layer:
    """Read a file of options; an empty one has none.

    Raises:
        InputError: naming file and line, for a file that is missing, too large, no YAML, nested too deeply, that says
            something twice, holds anything but plain data, or is no mapping from names to values.
    """
    file = require_file(path, "it is given as a layer")
    text = _text(Path(path))
    if file.endswith(".json"):
        return Layer(file, _json(text, file))
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None or isinstance(node, yaml.ScalarNode) and not node.value:
            return Layer(file, {})
        if not isinstance(node, yaml.MappingNode):
            raise InputError(f"{file}: expected options as 'name: value', found {_kind(node)}")
        _check(node, file)
        content = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        problem = "only plain values are allowed" if "python/" in str(error.problem) else error.problem
        raise InputError(f"{file}{where}: not valid YAML ({problem})") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise InputError(f"{file}: not valid YAML ({reason})") from None
    except (LookupError, AttributeError, TypeError):  # of its constructors: "!!bool maybe"
        reason = "a value that is not of the kind its tag says"
        raise InputError(f"{file}: not valid YAML ({reason})") from None
    for key in content:
        if not isinstance(key, str) or not key.strip("+"):
            raise InputError(f"{file}: {key!r}: the name of an option must be text")
    return Layer(file, content, dict(_words(node)))


def _json(text: str, file: str) -> dict[str, Any]:
    """JSON, whose numbers YAML would take for text: ``1e-05``."""
    try:
        content = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise InputError(f"{file}: not valid JSON ({reason})") from None
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected options as a mapping from names to values")
    if _is_deep(content):
        raise InputError(f"{file}: nested too deeply")
    return content


def _is_deep(content: Any, left: int = DEEPEST) -> bool:
    parts = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    return left < 0 or any(_is_deep(part, left - 1) for part in parts)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise InputError(f"{path}: too large for a file of options (more than {LARGEST // 2**20} MB)")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not valid YAML (not UTF-8 text)") from None


def _check(root: yaml.Node, file: str) -> None:
    """Refuse duplicate keys, deep nesting, and aliases that repeat themselves or blow up the content."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size_of(node: yaml.Node, depth: int) -> int:
        if id(node) in sizes:
            return sizes[id(node)]
        line = node.start_mark.line + 1
        if id(node) in open_nodes:
            raise InputError(f"{file}, line {line}: an alias stands inside what it repeats")
        if depth > DEEPEST:
            raise InputError(f"{file}, line {line}: nested too deeply")
        open_nodes.add(id(node))
        if isinstance(node, yaml.MappingNode):
            _refuse_duplicates(node, file)
        size = 1 + sum(size_of(child, depth + 1) for child in _parts(node))
        if size > MOST:
            raise InputError(f"{file}, line {line}: more than {MOST} values (aliases count as often as they are used)")
        open_nodes.discard(id(node))
        sizes[id(node)] = size
        return size

    size_of(root, 0)


def _parts(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _refuse_duplicates(node: yaml.MappingNode, file: str) -> None:
    seen: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        name, line = key.value.replace("::", "#"), key.start_mark.line + 1
        if name in seen and name != "<<":
            raise InputError(f"{file}, line {line}: {key.value} is there twice (line {seen[name]})")
        seen[name] = line


def _words(node: yaml.MappingNode) -> Iterator[tuple[str, str]]:
    for key, value in node.value:
        if isinstance(value, yaml.ScalarNode) and value.style is None:
            yield key.value, value.value


def _kind(node: yaml.Node) -> str:
    return "a list" if isinstance(node, yaml.SequenceNode) else "text"
