"""Run the jobs of an experiment, several at once, and stop in time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError
from common.files import atomic_path, read_json

from .file import Experiment, Job
from .job import SUMMARY, is_trained

JOB = "job.json"
PATIENCE = 60.0  # seconds for a stopped run to save its state
REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass
class Live:
    """A run that goes on."""

    job: Job
    process: subprocess.Popen
    started: float


def state_of(job: Job, root: Path, splits: Sequence[str]) -> str:
    """``done``, ``trained``, ``begun`` or ``open``.

    Raises:
        InputError: for a folder that holds a run of other settings.
    """
    folder = root / job.name
    if (folder / JOB).is_file():
        before = read_json(folder / JOB, "it should hold the settings of a run", dict)
        if different := _difference(before, json.loads(json.dumps(job.as_plain()))):
            raise InputError(f"{folder}: holds a run with {different}; choose another output_dir, or remove it")
    if not is_trained(root / job.after if job.row.of else folder):
        return "begun" if folder.is_dir() else "open"
    return "done" if all((job.results(root, split) / SUMMARY).is_file() for split in splits) else "trained"


def work_off(experiment: Experiment, jobs: Sequence[Job], root: Path, at_once: int, seconds: float | None) -> list[str]:
    """Run what is not done, in order; returns a line for each run that failed or was stopped.

    When the time is over no run starts, and those that go on are told to save their state and stop. So they are at an
    interrupt, and when this process is told to end.
    """
    alone = threading.current_thread() is threading.main_thread()  # where signals can be heard
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)) if alone else None
    queue = [job for job in jobs if job.row.bundle and state_of(job, root, experiment.evaluate) != "done"]
    live: list[Live] = []
    problems: list[str] = []
    end = None if seconds is None else time.monotonic() + seconds
    try:
        while queue or live:
            if end is not None and time.monotonic() > end:
                break
            while len(live) < at_once and (job := next((job for job in queue if _is_ready(job, root)), None)):
                queue.remove(job)
                live.append(_start(job, root, experiment.evaluate, at_once))
            for one in [one for one in live if one.process.poll() is not None]:
                live.remove(one)
                problems += _ended(one, root)
            if queue and not live and not any(_is_ready(job, root) for job in queue):
                break  # what they go on from has failed
            time.sleep(0.2)
    finally:
        problems += _stop(live)
        if alone:
            signal.signal(signal.SIGTERM, before)
    return problems + [f"{job.name}: not started" for job in queue]


def _is_ready(job: Job, root: Path) -> bool:
    """Whether the run before a job, if any, is trained."""
    return not job.after or is_trained(root / job.after)


def _start(job: Job, root: Path, splits: Sequence[str], at_once: int) -> Live:
    folder = root / job.name
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / JOB) as temporary:
        temporary.write_text(json.dumps(job.as_plain(), indent=1) + "\n", encoding="utf-8")
    results = {split: str(job.results(root, split)) for split in splits}
    given = {"folder": str(folder), **job.as_plain(), "results": results}
    threads = str(max((os.cpu_count() or 1) // at_once, 1))
    path = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    environment = {"OMP_NUM_THREADS": threads, **os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", f"{__package__}.job", json.dumps(given)]
    with (root / f"{job.name}.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
    sys.stdout.write(f"{job.name}: started\n")
    return Live(job, process, time.monotonic())


def _ended(one: Live, root: Path) -> list[str]:
    minutes = (time.monotonic() - one.started) / 60
    if not one.process.returncode:
        sys.stdout.write(f"{one.job.name}: done in {minutes:.1f} minutes\n")
        return []
    log = root / f"{one.job.name}.log"
    words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no message"]
    line = f"{one.job.name}: failed ({words[-1][:200]}); {log}"
    sys.stdout.write(f"{line}\n")
    return [line]


def _stop(live: Sequence[Live]) -> list[str]:
    for one in live:
        one.process.send_signal(signal.SIGTERM)
    end = time.monotonic() + PATIENCE
    for one in live:
        try:
            one.process.wait(max(end - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            one.process.kill()
    return [f"{one.job.name}: stopped, goes on from where it was" for one in live]


def _difference(before: Mapping, now: Mapping) -> str:
    """What of two jobs differs, in words; what only moved (folders of data and lists) does not count."""
    for key in ("bundle", "layers", "choose", "after", "how"):
        if before.get(key) != now.get(key):
            return f"{key} {before.get(key)}, not {now.get(key)}"
    old, new = before.get("options", {}), now["options"]
    for name in (name for name in {**old, **new} if name not in ("dataset_dir", "device", "cache_device")):
        values = [Path(str(part.get(name))).name if name == "splits" else part.get(name) for part in (old, new)]
        if values[0] != values[1]:
            return f"{name}={values[0]}, not {values[1]}"
    return ""
