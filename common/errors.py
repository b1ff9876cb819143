"""A user's mistake is one clear line: the error type, and the hook that keeps tracebacks away from the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection


class InputError(ValueError):
    """Something the user gave is wrong; the message names the file or option and what was expected."""


def require_choice(**choices: tuple[object, Collection]) -> None:
    """Raise ``InputError`` for the first value outside its choices: ``require_choice(mask=(mask, ("xor", "or")))``."""
    for name, (value, known) in choices.items():
        if value not in known:
            raise InputError(f"{name} must be one of {tuple(known)}, got {value!r}")


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
    """A loss became NaN or infinite; the message names the term and the iteration."""


EXPLAINED = (InputError, DivergedError)


def find_explained(error: BaseException | None) -> BaseException | None:
    """The first error in the chain of causes of ``error`` whose message says all a user needs, if any."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, EXPLAINED):
            return error
        seen.add(id(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


def one_line_errors() -> None:
    """Make an uncaught error that explains itself end the program with one line on stderr, without a traceback."""
    previous: Callable = sys.excepthook
    if getattr(previous, "one_line", False):
        return

    def hook(kind, error, trace) -> None:
        mistake = find_explained(error)
        if mistake is None:
            previous(kind, error, trace)
        else:
            sys.stderr.write(f"error: {' '.join(str(mistake).split())}\n")

    hook.one_line = True  # type: ignore[attr-defined]
    sys.excepthook = hook
