"""Files appear whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import secrets
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import InputError

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


def require_place(folder: str | os.PathLike, option: str, keep: bool = True, files: Collection[str] = ()) -> Path:
    """Raise ``InputError`` naming the option unless files can be made in a folder, which is made if it is not there.

    Args:
        folder: the place.
        option: what it was given as.
        keep: leave a folder that was made, for a run that will write to it in any case.
        files: names of what is to be written there; none of them may be a folder's.
    """
    folder = Path(folder)
    made = missing_folders(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0")
        taken = next((folder / name for name in files if (folder / name).is_dir()), None)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise InputError(
            f"{option}: no files can be made in {folder} ({reason.lower()}); give another folder"
        ) from None
    finally:
        for path in () if keep else made:
            with contextlib.suppress(OSError):
                path.rmdir()
    if taken is not None:
        raise InputError(f"{option}: {taken} is a folder, and a file of this name is to be written; move it away")
    return folder


def require_file_place(path: str | os.PathLike, option: str) -> Path:
    """Raise ``InputError`` naming the option unless a file can be made at ``path``, or take the place of one there."""
    require_place(Path(path).parent, option, keep=False, files=[Path(path).name])
    return Path(path)


def missing_folders(folder: str | os.PathLike) -> list[Path]:
    """A folder and those above it that are not there yet, the innermost first."""
    folder = Path(folder).absolute()
    return [path for path in (folder, *folder.parents) if not os.path.exists(path)]


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


def read_text(path: str | os.PathLike, purpose: str) -> str:
    """Text of a file in UTF-8, without its byte order mark, if it has one.

    Raises:
        InputError: naming the file, for one that is missing (``purpose`` says what it must do), cannot be read or is
            no such text.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {purpose}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; save it in that encoding") from None


def read_json(path: str | os.PathLike, purpose: str, kind: type = object) -> Any:
    """Content of a JSON file, see ``read_text`` for its encodings.

    Args:
        path: of the file.
        purpose: what it must do, for messages: "it should list the cases".
        kind: ``dict`` or ``list``, where nothing else will do.

    Raises:
        InputError: naming the file, for one that is missing, no JSON or not of the kind, and for a key that stands
            twice in a mapping, where JSON would silently take the last.
    """
    text = read_text(path, purpose)
    try:
        content = json.loads(text, object_pairs_hook=unique)
    except RecursionError:
        raise InputError(f"{path}: not valid JSON (nested too deeply); {purpose}") from None
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error}); {purpose}") from None
    if not isinstance(content, kind):
        wanted = "a mapping from names to values" if kind is dict else "a list"
        raise InputError(f"{path}: expected {wanted}; {purpose}")
    return content


def read_table(
    path: str | os.PathLike, purpose: str, numbers: Collection[str] = (), rest: bool = False
) -> list[dict[str, Any]]:
    """Rows of a CSV file whose first line names the columns.

    Args:
        path: of the file.
        purpose: what it must do, for messages.
        numbers: columns that it must have, which become numbers; ``nan`` is one.
        rest: the other columns hold numbers too, where anything stands there.

    Raises:
        InputError: naming the file, and row and column of what is no number.
    """
    table = csv.DictReader(io.StringIO(read_text(path, purpose), newline=""))
    try:
        rows: list[dict[str, Any]] = list(table)
    except csv.Error as error:
        raise InputError(f"{path}: not a table ({error}); {purpose}") from None
    if missing := [name for name in numbers if name not in (table.fieldnames or ())]:
        raise InputError(f"{path}: no column {missing[0]}; {purpose}")
    for place, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            more = "more" if None in row else "fewer"
            raise InputError(f"{path}, row {place}: {more} values than columns; {purpose}")
        for name in (name for name in row if name in numbers or (rest and row[name])):
            try:
                row[name] = float(row[name])
            except ValueError:
                raise InputError(f"{path}, row {place}: {name} {row[name]!r} is no number; {purpose}") from None
    return rows


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping of a JSON file; ``ValueError`` for a key that stands there twice."""
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key '{repeated}' is there twice")
    return content
