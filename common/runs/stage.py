"""The first of two stages in a run that is continued."""

from __future__ import annotations

import logging
from pathlib import Path

from .checkpoint import NAME, Generations


def first_stage(iterations: int, output_dir: str | Path, resume: bool = False) -> int:
    """Length of the first stage: ``iterations``, unless a run that is continued has left it after another number.

    A share of a run's length moves with it. A stage that is over stays over: the run goes on in the second one, and
    all that counts from its start (schedules, ramps, batches) counts from where it was.

    Args:
        iterations: of the first stage, by the settings of this start.
        output_dir: folder of the run.
        resume: whether the run in it is continued.
    """
    generations = Generations(Path(output_dir) / NAME)
    if not resume or not generations.found():
        return iterations
    state = next(generations.sound(quiet=True))
    staged = [part for part in state["optimizers"] if {"first", "steps"} <= part.keys()]
    if not staged or staged[0]["steps"] < staged[0]["first"] or staged[0]["first"] == iterations:
        return iterations
    logging.getLogger("Resume").info(
        f"resume: the first stage has ended after {staged[0]['first']} iterations and is not taken up again "
        f"({iterations} of a run that had this length from its start)"
    )
    return staged[0]["first"]
