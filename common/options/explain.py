"""What MONAI raises because of a configuration, in one line that names the entry."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType

from ..errors import InputError, StoppedError, find_explained, one_line_errors

Origin = Callable[[str], str]  # from an id to what messages call it: ``--seed``, or a file and a key

WRAPPERS = ("Failed to evaluate", "Failed to instantiate")  # what MONAI puts around a reason
ORIGIN: ContextVar[Origin | None] = ContextVar("ORIGIN", default=None)  # of the run in progress
RUNS = (
    "run",
    "initialize",
    "preflight",
    "finalize",
)  # expressions that act: what goes wrong inside them is no wrong value


@contextmanager
def explained(origin: Origin | None = None) -> Iterator[None]:
    """Turn what goes wrong in building a component or evaluating an expression of the configuration into one line.

    Args:
        origin: where entries come from; of the command line by default.

    Raises:
        InputError: naming the entry. Errors of another kind, in the iterations of a training, pass as they are.
    """
    token = ORIGIN.set(origin)
    try:
        yield
    except (Exception, SystemExit) as error:  # an expression may end the program, too
        known = isinstance(error, StoppedError) or find_explained(error)
        if known or not (text := explanation(error)) or sys.flags.dev_mode:
            raise
        raise InputError(text) from error
    finally:
        ORIGIN.reset(token)


def origin_of(id: str) -> str:
    """What messages call an entry of the run in progress."""
    known = ORIGIN.get()
    return known(id) if known else f"--{id.replace('::', '#')}"


def explain_uncaught() -> None:
    """The same for a program of MONAI's: an uncaught error of this kind ends it with one line on stderr."""
    one_line_errors()
    previous = sys.excepthook
    if getattr(previous, "explains", False):
        return

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        text = None if sys.flags.dev_mode or find_explained(error) else explanation(error)
        if text:
            sys.stderr.write(f"error: {' '.join(text.split())}\n")
        else:
            previous(kind, error, trace)

    hook.explains = hook.one_line = True  # type: ignore[attr-defined]
    sys.excepthook = hook


def explanation(error: BaseException) -> str | None:
    """One line for an error that an entry of the configuration is to blame for, if one is; see ``explained``.

    MONAI's messages do not say which entry it was resolving; the resolver's frame in the traceback does.
    """
    chain = list(_chain(error))
    ids = [id for link in chain for id in _resolving(link.__traceback__)]
    reason = next((link for link in chain if not str(link).startswith(WRAPPERS)), chain[-1])
    if isinstance(reason, OSError) and reason.filename is not None and reason.strerror:
        return f"{reason.filename}: {reason.strerror}"
    if not ids or ids[-1].partition("::")[0] in RUNS:
        return None
    return f"{origin_of(ids[-1])}: {_last_words(reason)}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__


def _resolving(trace: TracebackType | None) -> Iterator[str]:
    """Ids of the entries that were being resolved, the outermost first."""
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code.co_name == "_resolve_one_item" and "id" in frame.f_locals:
            yield str(frame.f_locals["id"])
        trace = trace.tb_next


def _last_words(reason: BaseException) -> str:
    text = " ".join(str(reason).split())
    if isinstance(reason, (TypeError, AttributeError, KeyError, ZeroDivisionError, NameError)) or not text:
        text = f"{type(reason).__name__}: {text}" if text else type(reason).__name__
    return text if len(text) <= 300 else f"{text[:297]}..."
