"""Reproducible archives: sums of all files inside, fixed order, times and permissions, a sum of the whole beside it."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from common.errors import InputError, require_file
from common.files import atomic_path, read_json

SUMS = Path("docs") / "SHA256SUMS"
MODEL_INFO = "model_info.json"
WHEN = (1980, 1, 1, 0, 0, 0)
PERMISSIONS = 0o100644 << 16
MOST_FILES = 5000


def sha256(path: Path) -> str:
    total = hashlib.sha256()
    for block in _blocks(path):
        total.update(block)
    return total.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        yield from iter(lambda: file.read(1 << 20), b"")


def files_of(folder: Path) -> list[Path]:
    """All files of a bundle, in the order of the archive."""
    return sorted(
        (path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.relative_to(folder).parts
    )


def write_sums(folder: Path) -> None:
    """List the sums of all files of a bundle in its ``docs/SHA256SUMS``."""
    lines = [f"{sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files_of(folder)]
    with atomic_path(folder / SUMS) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def changed_files(folder: Path) -> list[str]:
    """Files that differ from the sums inside the bundle, are missing or were added."""
    require_file(folder / SUMS, "a released bundle lists the sums of its files there")
    lines = (folder / SUMS).read_text(encoding="utf-8", errors="replace").splitlines()
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    present = {path.relative_to(folder).as_posix(): path for path in files_of(folder)}
    present.pop(SUMS.as_posix())
    different = {name for name in listed.keys() & present.keys() if listed[name] != sha256(present[name])}
    return sorted(different | (listed.keys() ^ present.keys()))


def write_archive(folder: Path, path: Path) -> str:
    """Zip ``folder`` under its own name, the same bytes for the same files; returns the sum, also written beside it."""
    with atomic_path(path) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:  # compressors differ between machines
            for file in files_of(folder):
                member = zipfile.ZipInfo(f"{folder.name}/{file.relative_to(folder).as_posix()}", WHEN)
                member.external_attr, member.create_system, member.file_size = PERMISSIONS, 3, file.stat().st_size
                with archive.open(member, "w") as target:
                    target.writelines(_blocks(file))
        digest = sha256(temporary)
        with atomic_path(sum_file(path)) as text:
            text.write_text(f"{digest}  {path.name}\n", encoding="utf-8")
    return digest


def move_archive(source: Path, path: Path) -> str:
    """Put a finished archive, with the sum beside it, into its place; returns the sum."""
    digest = sha256(source)
    with atomic_path(path) as temporary:
        shutil.copyfile(source, temporary)
        with atomic_path(sum_file(path)) as text:
            text.write_text(f"{digest}  {path.name}\n", encoding="utf-8")
    return digest


def sum_file(path: Path) -> Path:
    """``<archive>.sha256``, as ``sha256sum -c`` reads it."""
    return path.with_name(path.name + ".sha256")


def write_model_info(path: Path, release: str, digest: str, source: str) -> None:
    """Enter a release into ``model_info.json``, as MONAI's downloader reads it from a repository's ``models``."""
    known = read_model_info(path)
    known[release] = {"checksum": digest, "source": source}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(dict(sorted(known.items())), indent=4) + "\n", encoding="utf-8")


def read_model_info(path: Path) -> dict[str, Any]:
    """The releases of a folder, none where there is no such file; ``InputError`` for one that says anything else."""
    return read_json(path, "it lists the releases beside it; move it away", dict) if path.is_file() else {}


def check_archive(path: Path) -> None:
    """Raise ``InputError`` unless the archive is as ``write_archive`` makes them and agrees with the sum beside it.

    Nothing is unpacked before, and what is unpacked then is as large as the archive at most: members are stored as they
    are, each under its own name below one folder, and are files, no links.
    """
    if sum_file(path).is_file():
        expected = sum_file(path).read_text(encoding="utf-8", errors="replace").split()
        if expected != [sha256(path), path.name]:
            raise InputError(f"{path}: its sum is not the one in {sum_file(path).name}")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive.infolist())
            broken = archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise error if isinstance(error, InputError) else InputError(f"{path}: {error}") from error
    if broken:
        raise InputError(f"{path}: {broken} is damaged")


def _check_members(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    parts = [name.split("/") for name in names]
    tops = {part[0] for part in parts}
    if len(tops) != 1 or any(len(part) < 2 for part in parts):
        raise InputError(f"{path}: expected one folder inside, found {sorted(tops)[:3]}")
    if len(members) > MOST_FILES or len({name.casefold() for name in names}) < len(names):
        raise InputError(f"{path}: more than {MOST_FILES} files, or several of one name")
    if wrong := [name for name, part in zip(names, parts) if not all(map(_is_file_name, part))]:
        raise InputError(f"{path}: {wrong[0]!r} is no name of a file below its folder")
    stored = all(m.compress_type == zipfile.ZIP_STORED and m.compress_size == m.file_size for m in members)
    if not stored or sum(member.file_size for member in members) > path.stat().st_size:
        raise InputError(f"{path}: holds more than its size: members of a release are stored as they are")
    if any(member.date_time != WHEN or member.external_attr != PERMISSIONS for member in members) or parts != sorted(
        parts
    ):
        raise InputError(f"{path}: order, times or permissions of its members are not those of a release")


def _is_file_name(part: str) -> bool:
    """Whether a part of a path means the same everywhere, and nothing above its folder."""
    return part not in ("", ".", "..") and part.isprintable() and not set(part) & set('\\:*?"<>|') and len(part) <= 255


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The bundle's folder: ``path`` itself, or the checked archive unpacked for the time of the block."""
    if path.is_dir():
        yield path.resolve()
        return
    require_file(path, "give a bundle's folder or its archive")
    check_archive(path)
    with TemporaryDirectory() as folder:  # of this user alone
        try:
            with zipfile.ZipFile(path) as archive:
                archive.extractall(folder)
        except (zipfile.BadZipFile, OSError) as error:
            raise InputError(f"{path}: cannot be unpacked ({error})") from None
        (bundle,) = Path(folder).resolve().iterdir()
        yield bundle
