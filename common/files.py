"""Files appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet takes what begins so for one
_PARTIAL = ".partial-"  # how the names of unfinished files begin


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path beside ``path``; when the block ends well, it replaces ``path``, else it is removed.

    The content is on the disk before it takes the name, so that not even a power cut leaves half a file. A new file is
    readable for whom the umask says, one that replaces another for whom that was. An error of the file system names
    ``path``.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _new_file(target)
    name = str(temporary)
    try:
        yield temporary
        if target.is_file():
            temporary.chmod(target.stat().st_mode & 0o777)
        _to_disk(temporary)
        os.replace(temporary, target)
        with contextlib.suppress(OSError):  # not every system lets a folder be opened
            _to_disk(target.parent)
    except OSError as error:
        if error.errno is not None and error.filename in (None, name):
            error.filename = os.fspath(target)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _new_file(target: Path) -> Path:
    """An empty file beside ``target`` with its ending, readable for whom the umask says."""
    suffix = "".join(target.suffixes[-2:])
    while True:
        temporary = target.parent / f"{_PARTIAL}{secrets.token_hex(8)}{suffix}"
        with contextlib.suppress(FileExistsError):
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))
            return temporary


def remove_partial(folder: str | os.PathLike) -> list[Path]:
    """Remove the unfinished files that killed processes left in a folder, not below it, and return their paths."""
    left = sorted(path for path in Path(folder).glob(f"{_PARTIAL}*") if path.is_file())
    for path in left:
        path.unlink(missing_ok=True)
    return left


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def spreadsheet_text(name: Any) -> str:
    """A name as spreadsheets show it, who take one that begins like a formula for a formula."""
    return f"'{name}" if str(name)[:1] in FORMULA else str(name)


def plain_text(cell: str) -> str:
    """The name that ``spreadsheet_text`` was given."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in FORMULA else cell


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping of a JSON file; ``ValueError`` for a key that stands there twice."""
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key '{repeated}' is there twice")
    return content
