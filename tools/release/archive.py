"""Reproducible archives: sums of all files inside, fixed order, times and permissions, a sum of the whole beside it."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from common.errors import InputError, require_file
from common.files import atomic_path

SUMS = Path("docs") / "SHA256SUMS"
WHEN = (1980, 1, 1, 0, 0, 0)
PERMISSIONS = 0o100644 << 16


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
    pairs = [line.split("  ", 1) for line in (folder / SUMS).read_text(encoding="utf-8").splitlines()]
    listed = {name: digest for digest, name in pairs}
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


def sum_file(path: Path) -> Path:
    """``<archive>.sha256``, as ``sha256sum -c`` reads it."""
    return path.with_name(path.name + ".sha256")


def write_model_info(path: Path, release: str, digest: str, source: str) -> None:
    """Enter a release into ``model_info.json``, as MONAI's downloader reads it from a repository's ``models``."""
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    known[release] = {"checksum": digest, "source": source}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(dict(sorted(known.items())), indent=4) + "\n", encoding="utf-8")


def check_archive(path: Path) -> None:
    """Raise ``InputError`` unless the archive is whole, holds one folder and agrees with the sum beside it."""
    if sum_file(path).is_file():
        expected = sum_file(path).read_text(encoding="utf-8").split()
        if expected != [sha256(path), path.name]:
            raise InputError(f"{path}: its sum is not the one in {sum_file(path).name}")
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
            members = archive.infolist()
    except zipfile.BadZipFile as error:
        raise InputError(f"{path}: {error}") from error
    if broken:
        raise InputError(f"{path}: {broken} is damaged")
    names = [member.filename for member in members]
    tops = {name.partition("/")[0] for name in names}
    if len(tops) != 1 or any(".." in name.split("/") or name.startswith("/") or "\\" in name for name in names):
        raise InputError(f"{path}: expected one folder inside, found {sorted(tops)}")
    if any(member.date_time != WHEN or member.external_attr != PERMISSIONS for member in members) or names != sorted(
        names, key=lambda name: name.split("/")
    ):
        raise InputError(f"{path}: order, times or permissions of its members are not those of a release")


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The bundle's folder: ``path`` itself, or the checked archive unpacked for the time of the block."""
    if path.is_dir():
        yield path.resolve()
        return
    require_file(path, "give a bundle's folder or its archive")
    check_archive(path)
    with TemporaryDirectory() as folder:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        (bundle,) = Path(folder).resolve().iterdir()
        yield bundle
