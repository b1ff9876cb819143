"""One process at a time in a folder; a killed one leaves it free."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import stat
from pathlib import Path

from monai.utils import optional_import

from ..errors import InputError

fcntl, _UNIX = optional_import("fcntl")
msvcrt, _ = optional_import("msvcrt")  # Windows

NAME = ".lock"
_BUSY = {errno.EAGAIN, errno.EACCES, errno.EDEADLK}
_TEXT = 128  # bytes at the start of the file that say who holds it; the byte after them is locked on Windows
_held: set[int] = set()


def _leave_to_parent() -> None:
    for handle in _held:
        os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):  # a worker that outlives its parent must not hold the lock for it
    os.register_at_fork(after_in_child=_leave_to_parent)


class FolderLock:
    """An operating system's lock on ``<folder>/.lock``, which falls with the process, however that ends.

    Args:
        folder: exists.
        option: name of the folder in messages.

    Raises:
        InputError: naming process and machine of the holder, if another process has it.
    """

    def __init__(self, folder: str | Path, option: str = "output_dir") -> None:
        self.path = Path(folder) / NAME
        self.handle: int | None = None
        while self.handle is None:  # a holder that ends removes the file, perhaps after it was opened here
            self.handle = self._acquire(option)

    def _acquire(self, option: str) -> int | None:
        handle = self._open(option)
        try:
            _lock(handle)
        except OSError as error:
            holder = os.pread(handle, _TEXT, 0) if hasattr(os, "pread") else os.read(handle, _TEXT)
            os.close(handle)
            if error.errno in _BUSY:
                who = holder.decode("utf-8", "replace").strip() or "another process"
                raise InputError(f"{option}: a run in {self.path.parent} is going on ({who}); one at a time") from None
            self.path.unlink(missing_ok=True)
            logging.getLogger(__name__).warning(f"{self.path.parent}: no locks here ({error}); start one run at a time")
            return -1
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(self.path)):
                os.truncate(handle, 0)
                os.write(handle, f"process {os.getpid()} on {socket.gethostname()}"[:_TEXT].encode("utf-8"))
                _held.add(handle)
                return handle
        os.close(handle)
        return None

    def _open(self, option: str) -> int:
        """The file, made if it is not there; ``InputError`` where it cannot be, or something else has its name."""
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        except OSError as error:
            raise InputError(
                f"{option}: {self.path}: cannot be made ({error.strerror.lower()}); it tells others that a run is "
                "going on: move it away, or give another folder"
            ) from None
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise InputError(f"{option}: {self.path}: is no file; move it away, or give another folder")
        return handle

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let others in; a second call does nothing."""
        if self.handle not in (None, -1):
            with contextlib.suppress(OSError):  # Windows removes no open file
                self.path.unlink(missing_ok=True)
            _held.discard(self.handle)
            os.close(self.handle)
        self.handle = -1


def _lock(handle: int) -> None:
    if _UNIX:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    os.lseek(handle, _TEXT, os.SEEK_SET)
    try:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    finally:
        os.lseek(handle, 0, os.SEEK_SET)
