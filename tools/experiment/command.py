"""``python -m tools experiment``: run the rows of a table and make it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from common.errors import InputError, require_number, require_whole
from common.files import atomic_path, require_file_place, require_place

from .file import Job, check_jobs, read_experiment

SLURM = """#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --array=0-{last}%{at_once}
#SBATCH --output={root}/slurm-%a.log
# Run again with sbatch until nothing is left: what is done is skipped, what was stopped goes on.
{python} -m tools experiment {file} --output_dir {root} --only $SLURM_ARRAY_TASK_ID{more}
"""


def experiment(
    file: str,
    output_dir: str,
    dataset_dir: str | None = None,
    jobs: int = 1,
    hours: float | None = None,
    only: int | None = None,
    status: bool = False,
    slurm: str | None = None,
    results: str | None = None,
    note: str = "",
) -> str:
    """Run the rows of an experiment file and make their table: ``experiment docs/experiments/la.yaml runs/la``.

    A run is a folder of ``output_dir``; what is done is skipped, what was stopped goes on, and a folder that holds a
    run of other settings is refused. Afterwards ``results.json`` holds every figure and ``results.md`` the table,
    ``curve.png`` Dice over more than two numbers of labels.

    Args:
        file: says which bundles, layers and options the rows are, how many labels, which draws and seeds.
        output_dir: of the runs.
        dataset_dir: where the data are, if not where the file says.
        jobs: runs at once; each gets its share of the processors.
        hours: stop in time; the runs keep their state.
        only: the number of one run, for a cluster's array job.
        status: say what is done instead of running.
        slurm: write a submission script for Slurm's array jobs to this file instead of running.
        results: also write the figures here, such as docs/experiments/la.json.
        note: what the runs were made on, which stands above the table.
    """
    plan, root = read_experiment(file), Path(output_dir)
    require_whole(1, jobs=jobs)
    require_number(0, above=True, hours=hours)
    all_jobs = plan.jobs({} if dataset_dir is None else {"dataset_dir": str(Path(dataset_dir).absolute())})
    chosen = all_jobs if only is None else [_one(all_jobs, only)]
    if results and only is None:
        require_file_place(results, "--results")
    if slurm:
        return _write_script(Path(slurm), plan.name, file, root, dataset_dir, len(all_jobs), jobs)
    from .queue import state_of, work_off

    states = {job.name: state_of(job, root, plan.evaluate) for job in chosen if job.row.bundle}
    sys.stdout.write(f"{plan.title}: {_counted(list(states.values()))}\n")
    if status:
        sys.stdout.write("".join(f"{state:8}{name}\n" for name, state in states.items()))
        return str(root)
    check_jobs([job for job in chosen if states.get(job.name, "done") != "done"])
    require_place(root, "output_dir", files=("results.json", "results.md", "ranks.png", "curve.png"))
    problems = work_off(plan, chosen, root, jobs, None if hours is None else 3600 * hours)
    if only is None:
        _report(plan, all_jobs, root, results, note)
    if problems:
        raise InputError(f"{root}: {len(problems)} runs are not done: {'; '.join(problems[:3])}")
    return str(root)


def _report(plan, jobs: list[Job], root: Path, results: str | None, note: str) -> None:
    from .collect import collect
    from .page import as_markdown, curve_plot, rank_plot

    content = {**collect(plan, jobs, root), "conditions": note}
    for path in (root / "results.json", *([Path(results)] if results else ())):
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    with atomic_path(root / "results.md") as temporary:
        temporary.write_text(as_markdown(content), encoding="utf-8")
    with atomic_path(root / "ranks.png") as temporary:
        rank_plot(content, temporary)
    if len(content["tables"]) > 2:
        with atomic_path(root / "curve.png") as temporary:
            curve_plot(content, temporary)
    sys.stdout.write(f"{root / 'results.md'}\n")


def _one(jobs: list[Job], number: int) -> Job:
    if not 0 <= number < len(jobs):
        raise InputError(f"only={number}: expected the number of a run, 0 to {len(jobs) - 1}")
    return jobs[number]


def _counted(states: list[str]) -> str:
    names = ("done", "trained", "begun", "open")
    return f"{len(states)} runs, " + ", ".join(f"{states.count(name)} {name}" for name in names if name in states)


def _write_script(path: Path, name: str, file: str, root: Path, data: str | None, count: int, at_once: int) -> str:
    more = f" --dataset_dir {Path(data).absolute()}" if data else ""
    text = SLURM.format(name=name, last=count - 1, at_once=at_once, root=root.absolute(), python=sys.executable,
                        file=Path(file).absolute(), more=more)  # fmt: skip
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    os.chmod(path, 0o755)
    sys.stdout.write(f"sbatch {path}\n")
    return str(path)
