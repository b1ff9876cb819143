"""How long a step of a plan takes here, and how many fit into a time."""

from __future__ import annotations

import csv
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from common.errors import InputError

from ..experiment.queue import REPOSITORY
from .choices import PAYS, Plan

SMALLER = 0.5  # of the voxels of a patch where the time is short
TRAINING = 0.8  # share of the time for steps; the rest is for decoding, validation and evaluation
PROBE = 12  # steps that are timed
LIMITS = (200, 20_000)  # iterations


def require_hours(hours: object, device: str = "cpu", memory: float | None = None) -> None:
    """``InputError`` for anything but a number above 0, and for a machine that is not this one."""
    if isinstance(hours, bool) or not isinstance(hours, (int, float)) or not hours > 0:
        raise InputError(f"--hours {hours}: expected a number of hours above 0")
    if memory is not None or (device == "cuda" and not torch.cuda.is_available()):
        raise InputError(
            f"--hours {hours}: steps are timed on this machine; leave out memory, and device where there is none"
        )


def paced(
    hours: float, chosen: Callable[[int | None, float], Plan], text_of: Callable[[Plan], str]
) -> tuple[Plan, float]:
    """The plan whose training fits into the time, and the seconds that a step of it takes.

    Where the usual patch leaves fewer iterations than unlabeled images need to pay, one of half its voxels that may is
    timed too, and taken if it reaches them; where none does, a method that can is planned without unlabeled images.

    Args:
        hours: of one training.
        chosen: the plan for a number of iterations and a share of the patch.
        text_of: a plan as a file.
    """
    best: tuple[Plan, float] | None = None
    for share in (1.0, SMALLER):
        plan = chosen(None, share)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "plan.yaml"
            path.write_text(text_of(plan), encoding="utf-8")
            seconds = seconds_per_step(str(plan.method.root), path)
        count = iterations_in(hours, seconds)
        if best is None or count >= PAYS:
            best = chosen(count, share), seconds
            best[0].reasons["iterations"] = _reason(hours, seconds, share, count)
        if count >= PAYS or plan.method.dims == 2 or iterations_in(hours, SMALLER * seconds) < PAYS:
            break
    plan, seconds = best
    if plan.values["iterations"] < PAYS and plan.method.can_do_without and plan.values.get("consistency", True):
        plan.set("consistency", False, f"fewer than {PAYS} iterations: unlabeled images would cost more than they give")
    return plan, seconds


def _reason(hours: float, seconds: float, share: float, count: int) -> str:
    smaller = "; a patch of the usual size would leave too few" if share < 1 else ""
    short = f"; unlabeled images pay from about {PAYS} on, which takes {hours_of(PAYS, seconds):.1f} hours"
    return f"{seconds:.2f} s each by {PROBE} timed ones, in {hours:g} hours{smaller}{short if count < PAYS else ''}"


def hours_of(iterations: int, seconds: float) -> float:
    """Time of a training, decoding and validation included."""
    return iterations * seconds / TRAINING / 3600


def seconds_per_step(method: str, planned: Path) -> float:
    """Time of a step of a plan, by a training of a few in a process of its own."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tools", "run", method, str(planned.resolve()), "--output_dir", folder,
                   "--iterations", str(PROBE), "--epoch_length", str(PROBE // 2), "--val_interval", str(PROBE),
                   "--progress", "false"]  # fmt: skip
        started = time.monotonic()
        ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
        history = Path(folder) / "history.csv"
        if ended.returncode or not history.is_file():
            words = (ended.stderr.strip().splitlines() or [f"no message after {time.monotonic() - started:.0f} s"])[-1]
            raise InputError(f"{planned}: {words.removeprefix('error: ')[:300]}")
        with history.open(encoding="utf-8", newline="") as file:
            return round(float(list(csv.DictReader(file))[-1]["seconds_per_step"]), 4)


def iterations_in(hours: float, seconds: float) -> int:
    """Whole hundreds of steps that fit into the time, within limits."""
    fitting = int(TRAINING * 3600 * hours / max(seconds, 1e-3))
    return min(max(fitting // 100 * 100, LIMITS[0]), LIMITS[1])
