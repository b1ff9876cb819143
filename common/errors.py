"""A user's mistake is one clear line: the error type, and the hook that keeps tracebacks away from the terminal."""

from __future__ import annotations

import errno
import logging
import math
import os
import re
import sys
from collections.abc import Callable, Collection, Iterator
from numbers import Integral, Real
from typing import Any


class InputError(ValueError):
    """Something the user gave is wrong; the message names the file or option and what was expected."""


def require_choice(**choices: tuple[Any, Collection]) -> None:
    """Raise ``InputError`` for the first value outside its choices: ``require_choice(mask=(mask, ("xor", "or")))``."""
    for name, (value, known) in choices.items():
        if value not in known:
            raise InputError(f"{name} must be one of {tuple(known)}, got {value!r}")


def require_whole(least: int, **values: Any) -> None:
    """Raise ``InputError`` for the first value that is no whole number from ``least``; ``None`` is nobody's value."""
    for name, value in values.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, Integral) or value < least):
            raise InputError(f"--{name} {value}: expected a whole number of at least {least}")


def require_number(least: float, most: float = math.inf, above: bool = False, **values: Any) -> None:
    """Raise ``InputError`` for the first value that is no number in the range, ``above`` least; ``None`` passes."""
    for name, value in values.items():
        number = not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)
        if value is not None and not (number and least <= value <= most and not (above and value == least)):
            end = f" and at most {most:g}" if most < math.inf else ""
            start = "above" if above else "of at least"
            raise InputError(f"--{name} {value}: expected a number {start} {least:g}{end}")


def require_file(path: str | os.PathLike, purpose: str) -> str:
    """Return ``path`` as a string, or raise ``InputError`` saying what the missing file is needed for."""
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file; {purpose}")
    return os.fspath(path)


def require_folder(path: str | os.PathLike, purpose: str) -> str:
    """Return ``path`` as a string, or raise ``InputError`` saying what the missing folder is needed for."""
    if not os.path.isdir(path):
        raise InputError(f"{path}: no such folder; {purpose}")
    return os.fspath(path)


class DivergedError(FloatingPointError):
    """A loss or a weight became NaN or infinite; the message names it."""


class StoppedError(SystemExit):
    """A signal ended the program in good order: the message says what was kept, ``code`` is 128 plus the signal."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.code = 128 + signal_number


CONTROL = re.compile(
    "[^\\S \n\t]|[\x00-\x08\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
EXPLAINED = (InputError, DivergedError)
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR}
REFUSED |= {errno.ELOOP, errno.ENOTEMPTY, errno.ENXIO, errno.ENODEV, errno.EBUSY, errno.EMFILE, errno.ENFILE}


def find_explained(error: BaseException | None) -> BaseException | None:
    """The first error in the chain of causes of ``error`` whose message says all a user needs, if any."""
    return next((cause for cause in _causes(error) if isinstance(cause, EXPLAINED)), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def is_full(error: BaseException) -> bool:
    """Whether there is no room left on a disk, somewhere in the chain of causes."""
    return any(isinstance(cause, OSError) and cause.errno in FULL for cause in _causes(error))


def _from_outside(error: BaseException) -> bool:
    """Whether an error is an interrupt, or what a file system says about a full or unwritable place."""
    return isinstance(error, KeyboardInterrupt) or (isinstance(error, OSError) and error.errno in FULL | REFUSED)


def printable(text: Any) -> str:
    """Text on one line without what a terminal or an editor would obey: control characters, marks of direction.

    Names of files and cases come from outside; such a character in them is shown by its number.
    """
    return without_controls(" ".join(str(text).split()))


def without_controls(text: str) -> str:
    """Text, of several lines perhaps, with the numbers of control characters and marks of direction in their place."""
    return CONTROL.sub(lambda sign: f"\\x{ord(sign[0]):02x}" if sign[0] < "\u0100" else f"\\u{ord(sign[0]):04x}", text)


def one_line(error: BaseException) -> str:
    """What a user is told about an error that explains itself, or that comes from outside the program."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, OSError):
        hint = "; files that were there before are as they were" if error.errno in FULL else ""
        where = f"{error.filename}: " if error.filename else ""
        return printable(f"{where}{os.strerror(error.errno).lower()}{hint}")
    return printable(error)


def one_line_errors() -> None:
    """Make an uncaught error that explains itself end the program with one line on stderr, without a traceback.

    Libraries that log such an error on its way log its message alone; and no log holds control characters, which names
    of files may bring.
    """
    previous: Callable = sys.excepthook
    if getattr(previous, "one_line", False):
        return

    def hook(kind, error, trace) -> None:
        mistake = _explanation(error)
        if mistake is None:
            previous(kind, error, trace)
        else:
            sys.stderr.write(f"error: {one_line(mistake)}\n")

    hook.one_line = True  # type: ignore[attr-defined]
    sys.excepthook = hook
    make_record = logging.getLogRecordFactory()

    def without_trace(*values, **named) -> logging.LogRecord:
        record = make_record(*values, **named)
        if record.exc_info and (isinstance(record.exc_info[1], StoppedError) or _explanation(record.exc_info[1])):
            record.exc_info = None
        if CONTROL.search(text := record.getMessage()):
            record.msg, record.args = without_controls(text), None
        return record

    logging.setLogRecordFactory(without_trace)


def _explanation(error: BaseException | None) -> BaseException | None:
    return find_explained(error) or next(filter(_from_outside, _causes(error)), None)
