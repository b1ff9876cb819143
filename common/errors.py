"""A user's mistake is one clear line: the error type, and the hook that keeps tracebacks away from the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


class InputError(ValueError):
    """Something the user gave is wrong; the message names the file or option and what was expected."""


def require_file(path: str | os.PathLike, purpose: str) -> str:
    """Return ``path`` as a string, or raise ``InputError`` saying what the missing file is needed for."""
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file; {purpose}")
    return os.fspath(path)


def find_input_error(error: BaseException | None) -> InputError | None:
    """The first ``InputError`` in the chain of causes of ``error``, if any."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, InputError):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def one_line_errors() -> None:
    """Make an uncaught ``InputError`` end the program with one line on stderr; other errors keep their traceback."""
    previous: Callable = sys.excepthook
    if getattr(previous, "one_line", False):
        return

    def hook(kind, error, trace) -> None:
        mistake = find_input_error(error)
        if mistake is None:
            previous(kind, error, trace)
        else:
            sys.stderr.write(f"error: {mistake}\n")

    hook.one_line = True  # type: ignore[attr-defined]
    sys.excepthook = hook
