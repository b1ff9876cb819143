"""Runs of pytest in children that find the libraries loaded."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

LIBRARIES = (
    *("torch", "torch.nn.functional", "ignite.engine", "ignite.metrics", "numpy", "scipy.ndimage", "skimage.measure"),
    *("nibabel", "SimpleITK", "h5py", "yaml", "fire", "pytest", "_pytest.pytester"),
    *("monai", "monai.bundle", "monai.engines", "monai.handlers", "monai.networks.nets", "monai.transforms"),
)
OWN = ("bundles", "common", "tests", "tools")
STATUS_TOO_LONG = 124


def load_libraries() -> None:
    """Import what every test imports, so that a child need not: half of the time of a short run."""
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            import_module(name)


def pytest(folder: Path, arguments: Iterable[str], seconds: float) -> tuple[int, str]:
    """Exit status (124: too long) and output of a test run in ``folder``, in a process of its own."""
    words = ["-x", "-q", "--no-header", "-n", "0", "-p", "no:cacheprovider", "--tb=line", *arguments]
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            _run_and_leave(folder, words, output.fileno())
        status = _wait(child, seconds)
        output.seek(0)
        return status, output.read().decode(errors="replace")


def _run_and_leave(folder: Path, words: list[str], output: int) -> None:
    """The child: nothing of the repository's own Python is left from the parent."""
    status = 70
    try:
        os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(folder)
        os.environ.update(OMP_NUM_THREADS="1", PYTHONDONTWRITEBYTECODE="1", PYTHONPATH=str(folder))
        sys.dont_write_bytecode = True
        for name in [name for name in sys.modules if name.partition(".")[0] in OWN]:
            del sys.modules[name]
        sys.path[:] = [str(folder), *(path for path in sys.path if not _is_checkout(path))]
        status = int(import_module("pytest").main(words))
    finally:
        sys.stdout.flush()
        os._exit(status)


def _is_checkout(path: str) -> bool:
    return all((Path(path or ".") / name).is_dir() for name in OWN)


def _wait(child: int, seconds: float) -> int:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.2)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return STATUS_TOO_LONG
