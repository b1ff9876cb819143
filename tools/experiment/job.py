"""One run of an experiment in a process of its own: training, then the evaluations."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from common.errors import one_line_errors
from common.runs.record import read_record

from ..run import run

STATE, SUMMARY = "resume.pt", "summary.json"


def do(
    folder: Path,
    bundle: str,
    layers: list[str],
    options: Mapping,
    results: Mapping[str, str],
    how: Mapping | None = None,
    choose: str = "",
    after: str = "",
) -> None:
    """Train into ``folder``, on from where a stopped run was, unless that is done; then evaluate what is not yet.

    Args:
        folder: of the run.
        bundle: that is trained.
        layers: of the training.
        options: of the training.
        results: folder of the evaluation on each list.
        how: options of the evaluation; ``checkpoint`` is a file of weights in the run.
        choose: strategy by which labels are chosen before, by the network of the run ``after`` beside it.
        after: without ``choose``, the run beside it that is evaluated, in the place of a training.
    """
    trained = folder.with_name(after) if after and not choose else folder
    if choose:
        from .choose import chosen_lists

        options = {**options, "splits": str(chosen_lists(folder, folder.with_name(after), bundle, choose, options))}
    if not is_trained(trained):
        own = {"output_dir": str(folder), "resume": (folder / STATE).is_file()}
        run(bundle, *layers, **{"progress": False, **options, **own})
    for split, place in results.items():
        if not (Path(place) / SUMMARY).is_file():
            weights = {"checkpoint": str(trained / (how or {}).get("checkpoint", "."))}
            run(bundle, "evaluate", **{**(how or {}), **weights, "output_dir": str(folder), "split": split})


def is_trained(folder: Path) -> bool:
    """Whether the record of a run says that it ended."""
    return "finished" in read_record(folder)


def end_with_parent() -> None:
    """Stop this process, as by a signal to end, when the one that started it is gone, however that ended.

    Else a run would go on alone, and the next call would start it a second time in the same folder.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    end_with_parent()
    one_line_errors()
    given = json.loads(sys.argv[1])
    do(Path(given.pop("folder")), **given)
