"""The process of a server, and what a viewer asks of it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import requests

from common.errors import InputError

from .requests import ORIGINS

ERROR = re.compile(r"^\S*Error\b|\berror:", re.MULTILINE)
EVERYWHERE = ("0.0.0.0", "::")
START_SECONDS, ANSWER_SECONDS = 180, 3600
CODE = "code"  # in the folder of a server: this collection and nothing else


class Server:
    """MONAI Label with the app in ``base``, in a child process, as a context.

    Args:
        python: interpreter of the environment with MONAI Label.
        base: what ``prepare`` has written; receives labels, trainings and ``logs``.
        studies: folder with the images.
        host: address to listen at.
        port: of the server; 0 for a free one.

    Raises:
        InputError: when the server does not start, with the last error of its log.
    """

    def __init__(self, python: Path, base: Path, studies: Path, host: str = "127.0.0.1", port: int = 0) -> None:
        self.python, self.base, self.studies, self.host = python, base.absolute(), studies.absolute(), host
        self.port = port or free_port()
        self.address = f"http://{'127.0.0.1' if host in EVERYWHERE else host}:{self.port}"
        self.log = self.base / "logs" / "server.log"
        self.process: subprocess.Popen | None = None

    def settings(self) -> dict[str, str]:
        """Environment of the server: nothing that asks a network, nothing outside its folder."""
        origins = json.loads((self.base / "serve.json").read_text(encoding="utf-8"))["origins"]
        own = {
            "PYTHONPATH": str(self.base / CODE),
            "PATH": f"{self.python.parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "MONAI_LABEL_AUTO_UPDATE_SCORING": "false",
            "MONAI_LABEL_DATASTORE_AUTO_RELOAD": "false",
            "MONAI_LABEL_TASKS_BATCH_INFER": "false",
            "MONAI_LABEL_TRACKING_ENABLED": "false",
            "MONAI_LABEL_INFER_CONCURRENCY": "-1",
            "MONAI_LABEL_AUTH_ENABLE": "false",
            "MONAI_LABEL_SESSION_PATH": str(self.base / "sessions"),
            "MONAI_LABEL_SESSION_EXPIRY": "3600",
            ORIGINS: "" if self.host in EVERYWHERE and not origins else " ".join([*self.pages(), *origins]),
            "MONAI_LABEL_APP_DIR": str(self.base),
        }
        kept = {key: value for key, value in os.environ.items() if not key.startswith("MONAI_LABEL")}
        return {**kept, **own}

    def pages(self) -> list[str]:
        """The addresses under which this machine knows the server."""
        return [f"http://{name}:{self.port}" for name in dict.fromkeys([self.host, "127.0.0.1", "localhost"])]

    def __enter__(self) -> Server:
        if not port_is_free(self.host, self.port):
            raise InputError(f"port {self.port}: something listens there already; give another one")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = [str(self.python), "-m", "monailabel.main", "start_server", "--app", str(self.base)]
        command += ["--studies", str(self.studies), "--host", self.host, "--port", str(self.port)]
        command += ["--uvicorn_app", "tools.label.web:app"]
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.base,
                env=self.settings(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._until_it_answers()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def wait(self) -> None:
        """Until the server ends; ``InputError`` when it did so by itself."""
        code = self.process.wait()
        raise InputError(f"the server has ended ({code}): {last_error(self._said())}; {self.log}")

    def ask(self, verb: str, path: str, **request: Any) -> requests.Response:
        """Answer to a request, whatever it is."""
        return requests.request(verb, self.address + path, timeout=ANSWER_SECONDS, **request)

    def told(self, verb: str, path: str, **request: Any) -> dict:
        """JSON of an answer; ``InputError`` with the server's one line for a refusal."""
        answer = self.ask(verb, path, **request)
        if not answer.ok:
            raise InputError(f"{verb} {path}: {answer.status_code} {reason_of(answer)}")
        return answer.json()

    def train(self, model: str, **options: Any) -> dict:
        """Train in the background until done; the task as the server describes it."""
        self.told("POST", f"/train/{model}", json=options)
        while (task := self.told("GET", "/train/"))["status"] in ("SUBMITTED", "RUNNING"):
            time.sleep(0.5)
        if task["status"] != "DONE":
            raise InputError(
                f"training of {model}: {task['status']}: {(list(task.get('details', [])) or ['no word'])[-1]}"
            )
        return task

    def _until_it_answers(self) -> None:
        end = time.monotonic() + START_SECONDS
        while self.process is not None and self.process.poll() is None and time.monotonic() < end:
            try:
                requests.get(f"{self.address}/info/", timeout=30).raise_for_status()
                return
            except requests.RequestException:
                time.sleep(0.5)
        self.__exit__(None, None, None)
        raise InputError(f"MONAI Label did not start: {last_error(self._said())}; {self.log}")

    def _said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


def reason_of(answer: requests.Response) -> str:
    """The one line of a refusal."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]


def last_error(text: str) -> str:
    """The line of a log that says what was wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no message"]
    errors = [line for line in lines if ERROR.search(line)] or lines[-1:]
    own = [line for line in errors if "InputError: " in line]
    return (own or errors[::-1])[0][:300]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host if host != "localhost" else "127.0.0.1", port))
        except OSError:
            return False
    return True
