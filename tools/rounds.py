"""``python -m tools rounds``: a trained network labels what nobody has, and the next one learns from that too."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from common.data import DecodeMaskd
from common.datasets import find_images
from common.datasets.endings import image_files
from common.datasets.pairing import named, spelled
from common.errors import InputError, require_number, require_whole
from common.files import atomic_path, read_json, require_place
from common.metrics import bootstrap_mean
from common.runs.lock import FolderLock
from common.runs.record import read_record

from .experiment.job import STATE, is_trained
from .folds import Cases, cases_of, several_times, write_lists
from .label.worker import doubt, voxels
from .pooled import read_rows
from .run import run
from .runs import require_run

ROUNDS = "rounds.json"
DOUBT = "_uncertainty"  # behind the name of a case


def rounds(
    plan: str,
    output_dir: str,
    count: int = 1,
    keep: float = 0.5,
    method: str | None = None,
    **options: Any,
) -> dict:
    """Train, label the unlabeled images with that, and train on those too: ``rounds my_data/plan.yaml runs/rounds``.

    Round 0 is the plan's own training. Each next one labels all unlabeled images with the network before it, takes the
    share of them of which that network is surest, and in which it finds anything, as labeled, beside the true labels,
    and trains anew from the start, on the others without labels (noisy student; the noise is the plan's augmentation).
    Where the plan has validation cases, each round is measured on them: ``rounds.json`` and the last lines tell its
    Dice and the paired difference to round 0, each with a 95 % interval over patients; the file also tells which labels
    were made, how unsure their network was, 0 to 1, and the checksum of its weights. What is done is skipped, a stopped
    training goes on.

    Args:
        plan: file that ``plan`` wrote, for data of one domain.
        output_dir: of ``round_0`` and so on, each a run, and of the labels that were made.
        count: rounds after the first training.
        keep: share of the unlabeled images that a round takes as labeled; some must be left.
        method: the bundle; by default the one that the plan is for.
        options: of all trainings, on top of the plan's, such as ``recipe`` or ``iterations``.

    Source: Xie et al., Self-training with Noisy Student, CVPR 2020, with images chosen by the mean entropy over what is
    segmented or doubted in place of a threshold of confidence.
    """
    require_whole(1, count=count)
    require_number(0, 1, above=True, keep=keep)
    path, bundle, options, content = several_times(plan, method, options, "rounds")
    cases = cases_of(content)
    if not 0 < round(keep * len(cases.unlabeled)) < len(cases.unlabeled):
        raise InputError(
            f"{path}: {len(cases.unlabeled)} unlabeled images; --keep {keep:g} must take some of them and leave some"
        )
    root = require_place(output_dir, "output_dir", files=(ROUNDS, *(f"round_{n}.json" for n in range(count + 1))))
    with FolderLock(root):
        _begin(root, {"plan": str(path.resolve()), "method": bundle, "keep": keep, "options": options})
        for number in range(count + 1):
            sys.stdout.write(f"round {number} of {count}\n")
            target = root / f"round_{number}"
            lists = root / f"round_{number}.json"
            if not is_trained(target):
                if not lists.is_file():
                    with_made = _relabeled(root, number, bundle, cases, keep) if number else cases
                    write_lists(lists, with_made, cases.held, f"round {number} of {path.name}")
                run(bundle, str(path), **options, splits=str(lists.resolve()), labeled=None, validation=None,
                    output_dir=str(target), resume=(target / STATE).is_file())  # fmt: skip
            if cases.held and not (target / "validation" / "summary.json").is_file():
                run(bundle, "evaluate", checkpoint=str(target), output_dir=str(target), split="validation")
        found = _read(root) | {"rounds": _measured(root, count, cases) if cases.held else []}
        _write(root, found)
    sys.stdout.write(as_text(found))
    return found


def as_text(found: Mapping) -> str:
    """Dice of each round, and its difference to the first, in lines."""
    if not found["rounds"]:
        return "no validation cases: whether the rounds help is not known; hold some out (plan --validation)\n"
    lines = []
    for row in found["rounds"]:
        line = "round {}: Dice {:.2f} % ({:.1f} to {:.1f})".format(row["round"], *(100 * v for v in row["dice"]))
        if "gain" in row:
            line += ", {:+.2f} ({:.1f} to {:.1f}) to round 0".format(*(100 * v for v in row["gain"]))
        lines.append(line)
    return "\n".join([*lines, ""])


def _begin(root: Path, about: Mapping[str, Any]) -> None:
    """Write what the rounds are about, or refuse a folder that is about something else."""
    before = _read(root) if (root / ROUNDS).is_file() else {**about, "labels made": {}}
    if wrong := next((key for key, value in about.items() if before.get(key) != value), None):
        raise InputError(
            f"{root / ROUNDS}: {wrong} was {before.get(wrong)}, not {about[wrong]}; choose another output_dir"
        )
    _write(root, before)


def _read(root: Path) -> dict:
    return read_json(root / ROUNDS, "it tells what the rounds are about; remove it to begin anew", dict)


def _write(root: Path, content: Mapping) -> None:
    with atomic_path(root / ROUNDS) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _relabeled(root: Path, number: int, bundle: str, cases: Cases, keep: float) -> Cases:
    """The cases with labels of the round before for the share of images that it is surest of."""
    away = set(map(cases.patient, cases.held))
    free = [case for case in cases.unlabeled if cases.patient(str(case["case"])) not in away]
    place = root / f"labels_of_round_{number - 1}"
    shutil.rmtree(place, ignore_errors=True)  # what a stop left half-written
    run(bundle, "inference", checkpoint=str(root / f"round_{number - 1}"), inputs=[str(case["image"]) for case in free],
        output_dir=str(place), uncertainty="entropy")  # fmt: skip
    teacher = require_run(root / f"round_{number - 1}")
    read = DecodeMaskd("label", teacher.settings.get("encoding", "index"))
    made = named(image_files(place))
    found = {}
    for case in free:
        name = spelled(str(find_images(str(case["image"]))[0]["case"]))
        label, unsure = made[name], made[name + DOUBT]
        segmented = read.decode([label])[0].numpy()
        if segmented.any():
            found[str(case["case"])] = (doubt(segmented, voxels(unsure).reshape(segmented.shape)), label)
        unsure.unlink()
    if not found:
        raise InputError(f"{place}: nothing was found in any image, so there is nothing to learn from; train longer")
    surest = sorted(found, key=lambda name: (found[name][0], name))[: max(round(keep * len(free)), 1)]
    entries = {name: round(found[name][0], 4) for name in surest}
    weights = read_record(teacher.weights.parent)["weights"][teacher.weights.name]
    content = _read(root)
    for key, told in (("labels made", entries), ("made by", weights)):
        content[key] = {**content.get(key, {}), f"round {number}": told}
    _write(root, content)
    taken = [{**case, "label": str(found[str(case["case"])][1])} for case in free if str(case["case"]) in entries]
    left = [case for case in cases.unlabeled if str(case["case"]) not in entries]
    return replace(cases, labeled=[*cases.labeled, *taken], unlabeled=left)


def _measured(root: Path, count: int, cases: Cases) -> list[dict]:
    """Dice of each round on the validation cases and its paired difference to round 0, with intervals over patients."""
    scores = [_by_case(read_rows(root / f"round_{number}" / "validation")) for number in range(count + 1)]
    names = sorted(scores[0])
    owners = [cases.patient(name) for name in names]
    rows = []
    for number, by_case in enumerate(scores):
        if sorted(by_case) != names:
            raise InputError(f"{root / f'round_{number}'}: measured on other cases than round_0")
        values = np.array([[by_case[name] for name in names]])
        row: dict[str, Any] = {"round": number, "dice": _interval(values, owners)}
        if number:
            first = np.array([[scores[0][name] for name in names]])
            row["gain"] = _interval(values - first, owners)
        rows.append(row)
    return rows


def _by_case(rows: Sequence[Mapping]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row["case"], []).append(row["dice"])
    return {case: float(np.mean(values)) for case, values in found.items()}


def _interval(values: np.ndarray, owners: Sequence[str]) -> list[float]:
    found = bootstrap_mean(values, units=owners)
    return [round(value, 5) for value in (found.mean, found.low, found.high)]
