"""The folder of a run: what is in it before, and who may write to it."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import distributed

from ..errors import InputError
from ..files import missing_folders, remove_partial, require_place
from ..handlers.history import read_history
from ..options import current_configuration
from .checkpoint import NAME, PREVIOUS, Generations, rank
from .contract import as_written, check_resumable, check_same_data
from .lock import FolderLock

HISTORY, RECORD, WEIGHTS, LIVE = "history.csv", "record.json", "model.pt", "tensorboard"
BESIDE_STATES = (WEIGHTS, "model_best.pt", "model_average.pt", "settings.json", RECORD)
_NEEDED_BY_STUDIES = (WEIGHTS, "settings.json")  # what the next training starts from
_AGAIN = "overwrite: true begins again"
_LOG = logging.getLogger("Resume")


@dataclass
class _Opened:
    """A run folder that this process writes to: its lock, and what a fresh start removes from it."""

    lock: FolderLock
    made: list[Path]
    replaced: list[Path] = field(default_factory=list)


_opened: dict[Path, _Opened] = {}


@atexit.register
def _close_all() -> None:
    for folder in list(_opened):
        close_run(folder)


def open_run(
    output_dir: str | Path,
    ckpt_dir: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    studies: str | None = None,
    settings: Mapping[str, Any] | None = None,
    data: Mapping[str, Mapping] | None = None,
) -> int:
    """Decide, before any data are read, whether a run may write to its folder, and prepare it.

    The folders are made and tried, locked against other processes until the run has ended, and freed of the unfinished
    files of killed runs. Then, with what is there:

    * nothing: the run starts; with ``resume``, a line says so;
    * an earlier run, and ``resume``: it is continued if the contract of ``common.runs.contract`` allows that;
    * an earlier run, and ``overwrite``, or MONAI Label's ``studies``: it is replaced;
    * an earlier run otherwise: refused.

    Nothing of an earlier run is removed here: ``begin_run`` does that, once training starts. In a distributed run the
    first process decides; the others wait for it.

    Args:
        output_dir: folder of the run.
        ckpt_dir: folder of its weights; ``None``: the same.
        resume: continue the run in ``output_dir``.
        overwrite: replace it.
        studies: of MONAI Label, whose trainings replace one another and start from the weights of the last.
        settings: see ``check_resumable``; ``None``: the configuration that this call stands in.
        data: see ``check_same_data``; ``None``: checked when the data have been read.

    Returns:
        The iteration after which the run goes on, 0 for a fresh start.

    Raises:
        InputError: in one line, for a place where no files can be made, a run that is going on, one that must not be
            replaced, or cannot be continued.
    """
    if rank() != 0:
        distributed.barrier()
        return 0
    output, weights = Path(output_dir), Path(ckpt_dir or output_dir)
    made = [*missing_folders(weights), *missing_folders(output)]
    require_place(output, "output_dir", files=(HISTORY, NAME, PREVIOUS))
    require_place(weights, "output_dir" if weights == output else "ckpt_dir", files=BESIDE_STATES)
    key = output.resolve()
    before = _opened.get(key)
    _opened[key] = opened = _Opened(before.lock, before.made) if before else _Opened(FolderLock(output), made)
    try:
        iteration, found = _decide(output, weights, resume, overwrite or bool(studies), settings, data)
    except InputError:
        close_run(output)
        raise
    kept = _NEEDED_BY_STUDIES if studies else ()
    opened.replaced = [path for path in found if path.name not in kept]
    for folder in {output.resolve(), weights.resolve()}:
        if left := remove_partial(folder):
            _LOG.info(f"{folder}: removed {len(left)} unfinished files of a run that was killed")
    if distributed.is_initialized():
        distributed.barrier()
    return iteration


def _decide(
    output: Path,
    weights: Path,
    resume: bool,
    replace: bool,
    settings: Mapping[str, Any] | None,
    data: Mapping[str, Mapping] | None,
) -> tuple[int, list[Path]]:
    """The iteration after which the run goes on, and the files of an earlier one that are replaced when it starts."""
    generations = Generations(output / NAME)
    states = generations.found()
    others = [path for path in _run_files(output, weights) if path.is_file()]
    if resume and states:
        state = next(generations.sound(quiet=True))
        check_contract(state, settings if settings is not None else written_settings(), data)
        if (output / HISTORY).is_file():
            read_history(output / HISTORY)
        return state["iteration"], [path for path in others if path.name == RECORD]  # until it has finished again
    if resume and not replace and (finished := [path for path in others if path.name in (WEIGHTS, RECORD)]):
        raise InputError(
            f"resume: {output} has no state ({NAME}) to continue from, but files of a run that has ended "
            f"({finished[0]}); give the folder of an unfinished run, or a new one"
        )
    if resume:
        _LOG.warning(f"resume: {output} has no state ({NAME}) to continue from; starting from the beginning")
    elif not replace and (states or others):
        found = (others + states)[0]
        raise InputError(
            f"output_dir: {found.parent} holds a run already ({found.name}); resume: true continues it, overwrite: "
            "true replaces it, or give another folder"
        )
    return 0, [*states, *others]


def _run_files(output: Path, weights: Path) -> list[Path]:
    """What a run may have left, besides its states."""
    places = [output / HISTORY, *(folder / name for folder in (weights, output) for name in BESIDE_STATES)]
    return [*dict.fromkeys(places), *sorted((output / LIVE).glob("events.out.tfevents.*"))]


def results_folder(output_dir: str | Path, split: str, statistics: str = "trained", member: int | None = None) -> str:
    """Where an evaluation writes: ``<output_dir>/<split>``, apart for one ``member`` of a pair of networks.

    With other batch-norm statistics than those it was trained with: ``<output_dir>/<statistics>/<split>``. The
    configuration that is being resolved, if any, says which member.
    """
    configuration = current_configuration()
    if configuration is not None and "member" in configuration:
        member = configuration.value("member")
    folder = Path(output_dir) if statistics == "trained" else Path(output_dir) / statistics
    return str(folder / (split if member is None else f"{split}_member_{member}"))


def written_settings() -> dict[str, Any] | None:
    """Settings of the configuration that is being resolved, as it was written; ``None`` outside one."""
    configuration = current_configuration()
    return None if configuration is None else as_written(configuration.written(""))


def check_contract(state: Mapping, settings: Mapping[str, Any] | None, data: Mapping[str, Mapping] | None) -> None:
    """Raise ``InputError`` unless a saved state may be continued with these settings and data, where they are known.

    Where the contents of the cases are compared, now or (with ``data=None``) later, their folder and the file of their
    lists may be others.
    """
    before = state["data"]
    for name, known, now in (("settings", state["settings"], settings), ("cases", before, data)):
        if known is None and now is not None:
            raise InputError(f"resume: the state of this run does not say what its {name} were; {_AGAIN}")
    if settings is not None:
        moved = {"dataset_dir", "splits"} if _told(before) and (data is None or _told(data)) else set()
        was, now = ({k: v for k, v in s.items() if k not in moved} for s in (state["settings"], settings))
        check_resumable(was, now)
    if before is not None and data is not None:
        check_same_data(before, data)


def _told(data: Mapping[str, Mapping] | None) -> bool:
    """Whether the content of every case is known."""
    return data is not None and not any(None in cases.values() for cases in data.values())


def begin_run(output_dir: str | Path, fresh: bool) -> None:
    """Remove what ``open_run`` found to be replaced; of a fresh start, all states that lie there."""
    opened = _opened.get(Path(output_dir).resolve())
    for path in opened.replaced if opened else ():
        path.unlink(missing_ok=True)
    if fresh:
        Generations(Path(output_dir) / NAME).remove()


def close_run(output_dir: str | Path) -> None:
    """Let other processes write to the folder of a run; what was made for one that never began goes."""
    opened = _opened.pop(Path(output_dir).resolve(), None)
    if opened is None:
        return
    opened.lock.release()
    for folder in opened.made:
        with suppress(OSError):  # it holds something by now
            folder.rmdir()
