"""Published code itself, from a clone of the user's, beside ours on fresh tensors: in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.errors import InputError, require_folder

from ..run import REPOSITORY
from .certificate import row_text
from .tables import PEER, TABLE, module_of
from .worker import ANSWER

CHANGED = "In that process alone: without a GPU transfers to one are left out; aliases that numpy removed are restored."
MINUTES = 10


def peer_text(method: str, folder: str, seed: int) -> str:
    """What a clone's functions gave beside ours, line by line.

    Raises:
        InputError: for a folder that is none, a process that stopped, or a difference beyond its tolerance.
    """
    require_folder(folder, "expected a clone of the published repository")
    table, absent = module_of(method, TABLE).TABLE, module_of(method, PEER).ABSENT
    own = next(iter(table.sources.values()))
    found = answers_of(f"{__package__}.worker", (method, Path(folder).resolve(), seed), folder)
    lines = [f"{own.repository} in {folder}, {_commit(folder)}; recorded at {own.commit}", CHANGED, ""]
    for entry in found:
        lines += [entry["function"], *_rows(entry)]
    lines += ["", "Not called:", *(f"- {function}: {why}" for function, why in absent.items())]
    called = [entry for entry in found if "rows" in entry]
    lines += ["", f"{len(called)} of {len(found)} functions ran, seed {seed}."]
    wrong = [row for entry in called for row in entry["rows"] if not row[1] <= row[2]]
    text = "\n".join(lines) + "\n"
    if wrong:
        sys.stdout.write(text)
        raise InputError(f"{method}: {len(wrong)} comparisons with {folder} are beyond their tolerance")
    return text


def _rows(entry: Mapping) -> list[str]:
    if "why" in entry:
        return [f"  not run: {entry['why']}"]
    return [row_text(*row) for row in entry["rows"]]


def answers_of(module: str, arguments: Sequence[object], folder: str, minutes: float = MINUTES) -> Sequence[Mapping]:
    """What a module that runs the code of a clone answers, in a process of its own.

    Args:
        module: of this package, run as a script; it begins each line of an answer with ``ANSWER``.
        arguments: of the script.
        folder: the clone, for messages.
        minutes: after which the process is stopped.

    Raises:
        InputError: for a process that took too long, failed, or said nothing.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])}
    try:
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=60 * minutes, check=False
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"{folder}: its code did not end in {minutes:g} minutes") from None
    lines = (line.partition("\t") for line in done.stdout.splitlines())
    answers = [text for word, _, text in lines if word == ANSWER]
    if done.returncode or not answers:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"{folder}: the process that runs its code stopped with {done.returncode}: {last}")
    return [json.loads(answer) for answer in answers]


def _commit(folder: str) -> str:
    if not (Path(folder) / ".git").exists():
        return "no git history, its commit is not known"
    asked = ["git", "-C", folder, "rev-parse", "HEAD"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return f"at {done.stdout.strip()}" if not done.returncode else "its commit is not known"
