"""``python -m tools folds``: what a planned training is worth, measured on the labeled patients themselves."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.datasets import load_datalist
from common.datasets.lists import FILE as SPLITS
from common.datasets.lists import read_lists
from common.errors import InputError, require_file, require_number, require_whole
from common.files import atomic_path, require_place
from common.metrics import Calibration, bootstrap_mean, held_out, how_well
from common.options.command import plain
from common.options.layers import read_layer
from common.runs.record import FILE as RECORD

from .ensemble import ensemble as one_of_all
from .experiment.file import OF_A_RUN, Experiment, Row, check_jobs
from .experiment.queue import work_off
from .pooled import read_rows
from .run import configuration

FOLDS = "folds.json"
OF_FOLDS = (*OF_A_RUN, "labeled", "validation", "splits", "group")
FEWEST = 3  # labeled patients from which on anything can be measured
PLANNED = re.compile(r"# Planned for (\S+) on ")


def folds(
    plan: str,
    output_dir: str,
    folds: int = 5,
    method: str | None = None,
    jobs: int = 1,
    hours: float | None = None,
    ensemble: bool = False,
    **options: Any,
) -> dict:
    """Cross-validate a plan over its labeled patients: ``folds my_data/plan.yaml runs/folds``.

    The labeled patients are dealt into folds; each fold is held out once, with all images of its patients, while the
    others are labeled and all other unlabeled images are there every time. ``folds.json`` holds the Dice of every
    labeled case by a network that did not see it, the mean and its 95 % interval over patients. Runs that are done are
    skipped, stopped ones go on. The networks of the folds are in ``fold-...``; the one to deploy is best trained on all
    labels, or is their ensemble, a run in ``ensemble`` (see ``python -m tools ensemble``). ``expected_dice.json``,
    which the ensemble has too, tells inference what Dice to expect of a case without a label, in an interval: put it
    beside the weights of a network that was trained as these.

    Args:
        plan: file that ``plan`` wrote, for data of one domain.
        output_dir: of the runs.
        folds: number of folds; as many as patients where there are fewer.
        method: the bundle; by default the one that the plan is for.
        jobs: runs at once.
        hours: stop in time; the runs keep their state.
        ensemble: also make one network of those of all folds, ready for ``package``.
        options: of the trainings, on top of the plan's, such as ``iterations``.
    """
    if not isinstance(ensemble, bool):
        raise InputError(f"--ensemble {ensemble}: expected True or False")
    require_fold_count(folds)
    require_whole(1, jobs=jobs)
    require_number(0, above=True, hours=hours)
    path, bundle, options, content = several_times(plan, method, options, "folds")
    seed = content.get("seed", 1337)
    cases = cases_of(content)
    dealt = deal([str(case["case"]) for case in cases.labeled], cases.patient, folds, path)
    root = require_place(output_dir, "output_dir", files=(FOLDS, *(f"fold_{n}.json" for n in range(1, len(dealt) + 1))))
    for number, held in enumerate(dealt, 1):
        write_lists(root / f"fold_{number}.json", cases, held, f"fold {number} of {len(dealt)}")
    experiment = Experiment(
        path=root / "fold.yaml",
        title=f"folds of {path.name}",
        rows=(Row("fold", "fold", bundle, (str(path.resolve()),)),),
        labeled=(1,),
        draws=tuple(range(1, len(dealt) + 1)),
        seeds=(seed,),
        evaluate=("validation",),
        splits="fold_{draw}.json",
        baseline="fold",
    )
    trainings = experiment.jobs({**options, "seed": seed, "labeled": None, "validation": None})
    check_jobs(trainings)
    problems = work_off(experiment, trainings, root, jobs, None if hours is None else 3600 * hours)
    if problems:
        raise InputError(f"{root}: {len(problems)} of {len(dealt)} folds are not done: {problems[0]}")
    evaluated = [root / job.name / "validation" for job in trainings]
    found = out_of_fold(evaluated, cases.patient)
    calibration = calibrated(evaluated, cases.patient, found)
    with atomic_path(root / FOLDS) as temporary:
        temporary.write_text(json.dumps({"plan": str(path), "method": bundle, **found}, indent=1) + "\n", "utf-8")
    if calibration is not None:
        calibration.write(root)
    sys.stdout.write(as_text(found, content.get("encoding")))
    if ensemble and not (root / "ensemble" / RECORD).is_file():
        shutil.rmtree(root / "ensemble", ignore_errors=True)  # what a stop left half-written
        one_of_all(*(str(root / job.name) for job in trainings), output_dir=str(root / "ensemble"))
    if ensemble and calibration is not None:
        calibration.write(root / "ensemble")
    return found


def several_times(
    plan: str, method: str | None, options: Mapping[str, Any], whose: str
) -> tuple[Path, str, dict[str, Any], dict[str, Any]]:
    """A plan that is trained several times: its file, bundle, options on top of it, and what both say of the cases.

    Raises:
        InputError: before anything is read or written, for anything but a plan for the data of one domain, and for
            options that are wrong, or that ``whose`` trainings choose.
    """
    path = Path(require_file(plan, "python -m tools plan writes it"))
    content = dict(read_layer(path).content)
    if content.get("layout", "lists") != "lists":
        raise InputError(
            f"{path}: plans of several domains have no {whose}; give a plan of another method, or one domain"
        )
    bundle = method or planned_for(path)
    options = {name: plain(value) for name, value in options.items()}
    if own := next((name for name in options if name in OF_FOLDS), None):
        raise InputError(f"--{own}: the {whose} say that themselves; leave it out")
    known = configuration(bundle, (str(path),), options).options
    if not isinstance(content.get("dataset_dir"), str):
        raise InputError(f"{path}: no dataset_dir; expected a plan, as python -m tools plan writes it")
    content |= {name: known[name] for name in ("labeled", "validation", "seed") if name in known}
    return path, bundle, options, content


def require_fold_count(folds: int) -> None:
    """Raise ``InputError`` unless so many folds can be dealt."""
    require_whole(2, folds=folds)


def deal(names: Sequence[str], patient, folds: int, path: Path) -> list[list[str]]:
    """Names of each fold: patients in the order of the list, dealt one after the other.

    Raises:
        InputError: for fewer than three patients, of which nothing can be known.
    """
    owners = list(dict.fromkeys(patient(name) for name in names))
    if len(owners) < FEWEST:
        raise InputError(
            f"{path}: {len(owners)} labeled patients: how well a network does on others cannot be measured; label "
            f"{FEWEST - len(owners)} more, or look at predictions by eye"
        )
    place = {owner: number % min(folds, len(owners)) for number, owner in enumerate(owners)}
    return [[name for name in names if place[patient(name)] == n] for n in range(min(folds, len(owners)))]


def out_of_fold(evaluated: Sequence[Path], patient) -> dict[str, Any]:
    """Dice of every case by the network that did not see it; the mean and its interval over patients."""
    scores: dict[str, dict[str, float]] = {}
    for folder in evaluated:
        for row in read_rows(folder):
            scores.setdefault(row["case"], {})[str(row["class"])] = row["dice"]
    means = {case: float(np.mean(list(by_class.values()))) for case, by_class in scores.items()}
    owners = [patient(case) for case in means]
    interval = bootstrap_mean(np.array([list(means.values())]), units=owners)
    classes = sorted({value for by_class in scores.values() for value in by_class})
    return {
        "dice": interval.mean,
        "interval": [interval.low, interval.high],
        "patients": len(set(owners)),
        "classes": {value: float(np.mean([s[value] for s in scores.values() if value in s])) for value in classes},
        "cases": {case: round(value, 5) for case, value in sorted(means.items(), key=lambda pair: pair[1])},
    }


def calibrated(evaluated: Sequence[Path], patient, found: dict) -> Calibration | None:
    """What Dice to expect by confidence; enters how well that holds, patient by patient left out, into ``found``.

    ``None`` for evaluations without confidence, which are older than it, and for fewer than four patients.
    """
    scores: dict[str, list[tuple[float, float]]] = {}
    for folder in evaluated:
        for row in read_rows(folder):
            if row.get("confidence"):
                scores.setdefault(row["case"], []).append((float(row["confidence"]), row["dice"]))
    owners = [patient(case) for case in scores]
    if len(set(owners)) <= FEWEST:
        return None
    confidence, dice = np.array([np.mean(pairs, axis=0) for pairs in scores.values()]).T
    rows = held_out(confidence, dice, owners)
    calibration = Calibration.fit(confidence, dice, owners)
    found["expected"] = {
        "level": calibration.level,
        **how_well(rows),
        "of cases": {case: {key: round(v, 5) for key, v in row.items()} for case, row in zip(scores, rows)},
    }
    return calibration


def as_text(found: Mapping, encoding: object = None) -> str:
    """The measure in lines, the worst cases first; ``encoding``: values of the classes in the labels, if others."""
    stored = {str(number): value for value, number in encoding.items()} if isinstance(encoding, Mapping) else {}
    other = {key: f"{key} (stored as {value})" for key, value in stored.items() if key != str(value)}
    low, high = (100 * end for end in found["interval"])
    worst = ", ".join(f"{case} {100 * value:.1f}" for case, value in list(found["cases"].items())[:3])
    wide = "; with so few patients the interval is too narrow rather than too wide" if found["patients"] < 10 else ""
    return (
        f"out of fold: Dice {100 * found['dice']:.2f} % (95 % interval {low:.1f} to {high:.1f} over "
        f"{found['patients']} patients{wide})\nby class: "
        + ", ".join(f"{other.get(value, value)}: {100 * dice:.2f}" for value, dice in found["classes"].items())
        + f"\nlowest: {worst}\n"
        + (expected_text(found["expected"]) if "expected" in found else "")
    )


def expected_text(told: Mapping) -> str:
    """How well intervals of single cases held, in a line."""
    level = f" of {100 * told['level']:.0f} %" if "level" in told else ""
    ranks = told["rank_correlation"]
    return (
        f"expected Dice of single cases: intervals{level} held for {told['held']} of {told['cases']}, half width "
        f"{100 * told['half_width']:.1f} points, mean error {100 * told['error']:.1f}"
        + (f", rank correlation {ranks:.2f}\n" if ranks is not None else "\n")
    )


def planned_for(path: Path) -> str:
    """Name of the bundle that a plan was written for."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    if not (found := PLANNED.match(first)):
        raise InputError(f"{path}: does not say for which method it was planned; name it (method)")
    return found[1]


@dataclass(frozen=True)
class Cases:
    """The cases that a plan trains on.

    Attributes:
        labeled: those with labels that it uses, held out or not.
        unlabeled: all others.
        patient: of a name.
        patients: those that the lists name, by case.
        held: names of those with labels that the plan holds out, for validation.
    """

    labeled: Sequence[Mapping]
    unlabeled: Sequence[Mapping]
    patient: Callable[[str], str]
    patients: Mapping[str, str]
    held: Sequence[str] = ()


def cases_of(plan: Mapping[str, Any]) -> Cases:
    """The cases of a plan's options."""
    keys = ("labeled", "validation", "group")
    cases = load_datalist(plan["dataset_dir"], **{key: plan.get(key) for key in keys})
    lists = read_lists(Path(plan["dataset_dir"]) / SPLITS)
    known = [*cases["labeled"], *cases["validation"]]
    held = [str(case["case"]) for case in cases["validation"]]
    return Cases(known, cases["unlabeled"], lists.patient(plan.get("group")), lists.patients, held)


def write_lists(path: Path, cases: Cases, held: Collection[str], origin: str) -> None:
    """A file of lists that holds out labeled cases and all of their patients; it names files wherever they lie."""
    away = set(map(cases.patient, held))
    files = {
        str(case["case"]): {"image": str(Path(str(case["image"])).resolve())}
        | ({"label": _absolute(case["label"])} if "label" in case else {})
        for case in (*cases.labeled, *cases.unlabeled)
    }
    labeled, unlabeled = ([str(case["case"]) for case in part] for part in (cases.labeled, cases.unlabeled))
    content = {
        "labeled": [name for name in labeled if name not in held],
        "unlabeled": [name for name in unlabeled if cases.patient(name) not in away],
        "validation": list(held),
        "origin": origin,
        "files": files,
        "patients": {name: owner for name, owner in cases.patients.items() if name in files},
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _absolute(label: str | Sequence[str]) -> list[str]:
    return [str(Path(path).resolve()) for path in ([label] if isinstance(label, str) else label)]
