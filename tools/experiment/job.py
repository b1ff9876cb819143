"""One run of an experiment in a process of its own: training, then the evaluations."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from common.errors import one_line_errors

from ..run import run

STATE = "resume.pt"


def do(
    folder: Path,
    bundle: str,
    layers: list[str],
    options: Mapping,
    splits: list[str],
    how: Mapping,
    choose: str = "",
    after: str = "",
) -> None:
    """Train into ``folder``, on from where a stopped run was, unless that is done; then evaluate what is not yet.

    With ``choose``, labels are chosen before, by the network of the run ``after`` beside it.
    """
    if after:
        from .choose import chosen_lists

        options = {**options, "splits": str(chosen_lists(folder, folder.with_name(after), bundle, choose, options))}
    if not is_trained(folder):
        run(bundle, *layers, **options, output_dir=str(folder), resume=(folder / STATE).is_file(), progress=False)
    for split in splits:
        if not (folder / split / "summary.json").is_file():
            run(bundle, "evaluate", checkpoint=str(folder), output_dir=str(folder), split=split, **how)


def is_trained(folder: Path) -> bool:
    """Whether the record of a run says that it ended."""
    record = folder / "record.json"
    return record.is_file() and "finished" in json.loads(record.read_text(encoding="utf-8"))


if __name__ == "__main__":
    one_line_errors()
    given = json.loads(sys.argv[1])
    do(Path(given.pop("folder")), **given)
