"""A served model in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

from common.errors import InputError

from ..release.isolated import START

SCRIPT = Path(__file__).with_name("worker.py")


class FailedError(RuntimeError):
    """The model failed at a request for reasons of its own; the log says more."""


class Worker:
    """The process of one release, started by the first request and again when it has died.

    Args:
        python: interpreter with the packages of the release, as a rule that of this collection.
        folder: of the release.
        log: file that receives what the process prints.
    """

    def __init__(self, python: str, folder: Path, log: Path) -> None:
        self.command = [python, "-c", START, "released", str(SCRIPT), str(folder)]
        self.log, self.lock = log, threading.Lock()
        self.process: subprocess.Popen | None = None

    def ask(self, do: str, **request: Any) -> dict:
        """Answer of ``tools.label.worker.Model`` to a request, one at a time.

        Raises:
            InputError: for what is wrong with the request, in the model's own words.
            FailedError: for anything else.
        """
        with self.lock:
            if self.process is None or self.process.poll() is not None:
                self._start()
            try:
                self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
                self.process.stdin.flush()
                line = self.process.stdout.readline()
            except OSError:
                line = ""
        if not line:
            raise FailedError(f"the process of the model ended (memory?); {self.log.name} says more")
        answer = json.loads(line)
        if "error" in answer:
            raise (InputError if answer["input"] else FailedError)(answer["error"])
        return answer["ok"]

    def close(self) -> None:
        if self.process is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def _start(self) -> None:
        hidden = ("MONAI_LABEL", "PYTHON")  # the server's own settings are not the model's
        environment = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
        environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                cwd=self.log.parent, env=environment, text=True, encoding="utf-8",
            )  # fmt: skip
