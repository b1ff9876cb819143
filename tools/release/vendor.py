"""The Python of a released bundle: its own package with the reached part of ``common`` inside, renamed."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from common.errors import InputError
from common.files import atomic_path

SHARED = "common"
LATE = ("find_spec", "import_module")


def own_package(bundle: Path) -> str:
    """Name of the Python package of a bundle, the one folder with an ``__init__.py``."""
    names = [path.parent.name for path in bundle.glob("*/__init__.py")]
    if len(names) != 1:
        raise InputError(f"{bundle}: expected one Python package in the bundle, found {names}")
    return names[0]


def modules_of(dotted: str, root: Path) -> Iterator[Path]:
    """Files that importing ``dotted`` (a module or an attribute of one) runs, below ``root``."""
    place = root
    for part in dotted.split("."):
        if (place / part / "__init__.py").is_file():
            place = place / part
            yield place / "__init__.py"
        else:
            if (place / f"{part}.py").is_file():
                yield place / f"{part}.py"
            return


def imports_of(path: Path, root: Path) -> Iterator[str]:
    """Absolute dotted names that a Python file below ``root`` imports, wherever in the file."""
    parts = path.relative_to(root).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = parts[: len(parts) - node.level] if node.level else ()
            base = ".".join([*package, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node) in LATE and isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value)


def _called(node: ast.Call) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def reached(names: Iterable[str], root: Path) -> list[Path]:
    """All files of ``common`` below ``root`` that importing the dotted ``names`` runs, sorted.

    Where the collection is installed, ``root`` holds libraries too; they are none of its own.
    """
    found: set[Path] = set()
    waiting = [name for name in names if _shared(name)]
    while waiting:
        for path in modules_of(waiting.pop(), root):
            if path not in found:
                found.add(path)
                waiting.extend(name for name in imports_of(path, root) if _shared(name))
    return sorted(found)


def libraries(files: Iterable[Path], root: Path) -> set[str]:
    """Dotted names of third-party packages that Python files below ``root`` import."""
    paths = list(files)
    own = {path.relative_to(root).with_suffix("").parts[0] for path in paths} | set(sys.stdlib_module_names)
    return {name for path in paths for name in imports_of(path, root) if name.partition(".")[0] not in own}


def vendor(bundle: Path, repository: Path, names: Iterable[str], target: Path) -> None:
    """Write the bundle's package into ``target``, and inside it the modules of ``common`` that it or ``names`` need."""
    package = own_package(bundle)
    own = sorted((bundle / package).rglob("*.py"))
    wanted = {name for path in own for name in imports_of(path, bundle)} | set(names)
    for path in own:
        place = path.relative_to(bundle)
        _write(target / place, renamed_imports(path, "." * (len(place.parts) - 1)))
    for path in reached(wanted, repository):
        _write(target / package / path.relative_to(repository), path.read_text(encoding="utf-8"))


def renamed_imports(path: Path, dots: str) -> str:
    """Source of ``path`` with ``from common...`` made relative to the package ``dots`` levels up.

    Raises:
        InputError: for ``import common``, which has no relative form.
    """
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import) and any(_shared(alias.name) for alias in node.names):
            raise InputError(
                f"{path}, line {node.lineno}: write 'from common... import ...', it is renamed in a release"
            )
        if isinstance(node, ast.ImportFrom) and not node.level and _shared(node.module or ""):
            line = node.lineno - 1
            lines[line] = lines[line].replace(f"from {SHARED}", f"from {dots}{SHARED}", 1)
    return "".join(lines)


def _shared(dotted: str) -> bool:
    return dotted.partition(".")[0] == SHARED


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
