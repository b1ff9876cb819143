"""A MONAI Label server with one bundle, and what a viewer asks of it."""

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

import requests

from common.errors import InputError

ERROR = re.compile(r"^\S*Error\b|\berror:", re.MULTILINE)
STREAMS = re.compile(r"(\d+) labeled and (\d+) unlabeled samples")
START_SECONDS, ANSWER_SECONDS = 180, 3600


class LabelServer:
    """Server of ``app/monaibundle`` in a child process, as a context.

    Args:
        python: interpreter of the environment with MONAI Label.
        folder: receives the app and ``server.log``; the bundle must lie in ``<folder>/monaibundle/model/<name>``.
        studies: folder with the images.
        name: of the bundle.

    Raises:
        InputError: when the server does not start or refuses a request, with the last error of its log.
    """

    def __init__(self, python: Path, folder: Path, studies: Path, name: str) -> None:
        self.python, self.folder, self.studies, self.name = python, folder, studies, name
        self.log = folder / "server.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"http://127.0.0.1:{free.getsockname()[1]}"
        self.process: subprocess.Popen | None = None
        self.environment = {**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
        self.environment |= {"PYTHONPATH": "", "MONAI_LABEL_AUTO_UPDATE_SCORING": "false"}

    def __enter__(self) -> LabelServer:
        port = self.address.rpartition(":")[2]
        settings = {"models": self.name, "epistemic_model": self.name, "zoo_source": "local", "sam2": "false"}
        settings |= {"epistemic_max_samples": "1", "epistemic_simulation_size": "2"}
        words = [word for key, value in settings.items() for word in ("--conf", key, value)]
        where = ["--app", str(self.folder / "monaibundle"), "--studies", str(self.studies)]
        command = [str(self.python), "-m", "monailabel.main", "start_server", *where, *words]
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", port],
                cwd=self.folder, env=self.environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._wait()
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

    def info(self) -> dict:
        """What the server offers: models with their labels and options, trainers."""
        return self._ask("get", "/info/").json()

    def infer(self, image: str | Path, target: Path, **options: object) -> Path:
        """Write the answer for an image of the studies folder, by its name, or for a file, by its path."""
        request: dict = {"params": {"output": "image"}, "data": {"params": json.dumps(options)}}
        if isinstance(image, Path):
            request["files"] = {"file": (image.name, image.read_bytes())}
        else:
            request["params"]["image"] = image
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(self._ask("post", f"/infer/{self.name}", **request).content)
        return target

    def refusal(self, image: str, target: Path, **options: object) -> str:
        """Why the server refuses a request, in its own words; ``InputError`` if it doesn't."""
        try:
            self.infer(image, target, **options)
        except InputError as error:
            return str(error)
        raise InputError(f"MONAI Label accepted {options} for {image}")

    def put_label(self, image: str, label: Path) -> None:
        """Hand in the label of an image, as a viewer does when it is finished."""
        with open(label, "rb") as file:
            self._ask("put", "/datastore/label", params={"image": image, "tag": "final"}, files={"label": file})

    def score(self) -> dict:
        """Let the server rank an unlabeled image by the network's disagreement with itself under dropout."""
        return self._ask("post", f"/scoring/{self.name}", params={"run_sync": True}, json={}).json()

    def train(self, **request: object) -> tuple[int, int]:
        """Train in the background until done; returns the numbers of labeled and unlabeled volumes that took part."""
        before = len(self.log.read_text(encoding="utf-8"))
        self._ask("post", f"/train/{self.name}", json=request)
        while self._ask("get", "/train/").json()["status"] in ("SUBMITTED", "RUNNING"):
            time.sleep(1)
        task, said = self._ask("get", "/train/").json(), self.log.read_text(encoding="utf-8")[before:]
        used = STREAMS.search(said)
        if task["status"] != "DONE" or used is None:
            raise InputError(f"training in MONAI Label failed: {self._last_error(said)}; {self.log}")
        return int(used[1]), int(used[2])

    def _wait(self) -> None:
        end = time.monotonic() + START_SECONDS
        while self.process is not None and self.process.poll() is None and time.monotonic() < end:
            try:
                requests.get(f"{self.address}/info/", timeout=30).raise_for_status()
                return
            except requests.RequestException:
                time.sleep(1)
        self.__exit__(None, None, None)
        raise InputError(
            f"MONAI Label did not start: {self._last_error(self.log.read_text(encoding='utf-8'))}; {self.log}"
        )

    def _ask(self, verb: str, path: str, **request: object) -> requests.Response:
        before = len(self.log.read_text(encoding="utf-8"))
        answer = requests.request(verb, self.address + path, timeout=ANSWER_SECONDS, **request)
        if not answer.ok:
            reason = self._last_error(self._logged_since(before) or answer.text)
            raise InputError(f"MONAI Label answered {answer.status_code} to {verb} {path}: {reason}; {self.log}")
        return answer

    def _logged_since(self, before: int, patience: float = 5) -> str:
        """What the server has logged since then; it answers before it has written down the reason."""
        said, end = "", time.monotonic() + patience
        while not ERROR.search(said) and time.monotonic() < end:
            time.sleep(0.2)
            said = self.log.read_text(encoding="utf-8")[before:]
        return said

    @staticmethod
    def _last_error(text: str) -> str:
        lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no message"]
        errors = [line for line in lines if ERROR.search(line)] or lines[-1:]
        own = [line for line in errors if ".InputError: " in line]  # which MONAI wraps in errors of its own
        return (own or errors[::-1])[0][:300]
