"""Files appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PARTIAL = ".partial-"  # how the names of unfinished files begin


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path beside ``path``; when the block ends well, it replaces ``path``, else it is removed.

    The content is on the disk before it takes the name, so that not even a power cut leaves half a file. An error of
    the file system names ``path``.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    suffix = "".join(target.suffixes[-2:])
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f"{_PARTIAL}{target.stem}.", suffix=suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
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
