"""``python -m tools fit``: from a folder to a release, one step after the other."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from common.datasets import find_cases
from common.datasets.endings import PICTURES
from common.errors import InputError
from common.files import atomic_path, read_json, require_place
from common.metrics import Calibration
from common.options.layers import read_layer
from common.runs.lock import FolderLock

from .check import check
from .experiment.job import STATE, is_trained
from .folds import FEWEST, cases_of, folds, require_fold_count, write_lists
from .package import package
from .plan import plan
from .plan.choices import PAYS
from .plan.machine import this_machine
from .plan.method import method_of
from .plan.timing import hours_of, require_hours
from .release.description import class_names, license_text
from .run import run
from .shell import paste

EVENING = 3.0  # hours


def fit(
    folder: str,
    output_dir: str | None = None,
    method: str = "meanteacher_segmentation",
    hours: float = EVENING,
    fold_count: int = 5,
    labeled: int | None = None,
    group: str | None = None,
    license: str | None = None,
    classes: str | None = None,
    device: str = "auto",
) -> str:
    """Check, plan, measure, train and package own data: ``fit my_data --hours 3 --license 'CC BY 4.0'``.

    Does in order what the verbs of these names do: ``check``; ``plan``, with as many iterations as the time allows, by
    the time of a few steps; ``folds``, where three or more patients are labeled, for an honest estimate; ``run`` on all
    labels; ``package``, where the terms are given (``license``, or ``data_license.txt`` beside the images). Called
    again it goes on where it was stopped. ``fit.json`` says what was done.

    Args:
        folder: the data set: images/ and fewer labels/.
        output_dir: of everything; ``runs/<name of the folder>`` by default.
        method: the bundle.
        hours: for everything, on this machine.
        fold_count: folds of the estimate.
        labeled: how many patients are labeled; by default all that are, or a tenth of a benchmark's list.
        group: template of names such as '{patient}_*'; by default what the plan finds.
        license: terms of weights and data, as a line or a file.
        classes: names of the foreground classes, in order.
        device: auto, cpu or cuda.
    """
    require_hours(hours)
    root = Path(output_dir or Path("runs") / Path(folder).resolve().name)
    method_of(method)
    this_machine(device, None)
    require_fold_count(fold_count)
    if license is not None:
        license_text(license, {})
    require_place(root, "output_dir", keep=False, files=("fit.json", "plan.yaml", "timing.json", "splits.json"))
    about = {"folder": str(Path(folder).resolve()), "method": method, "group": group, "labeled": labeled}
    _state(root, about)
    root.mkdir(parents=True, exist_ok=True)
    with FolderLock(root):
        return _steps(folder, root, _state(root, about), hours, fold_count, device, license, classes)


def _steps(
    folder: str,
    root: Path,
    state: dict,
    hours: float,
    fold_count: int,
    device: str,
    license: str | None,
    classes: str | None,
) -> str:
    """What ``fit`` does in a folder that no other process works in."""
    method, labeled, group = state["method"], state["labeled"], state["group"]
    if "checked" not in state:
        check(folder, group=group, output=str(root / "check"))
        _note(root, state, checked=True)
    if "iterations" not in state:
        planned: dict[str, Any] = {
            "method": method,
            "labeled": labeled,
            "group": group,
            "device": device,
            "output": str(root),
            "overwrite": True,
        }
        with redirect_stdout(io.StringIO()):  # the plan with the time follows
            plan(folder, **planned)
        cases = cases_of(read_layer(root / "plan.yaml").content)
        patients = len({cases.patient(str(case["case"])) for case in cases.labeled})
        runs = 1 + (min(fold_count, patients) if patients >= FEWEST else 0)
        _check_classes(root, classes)
        plan(folder, hours=hours / runs, **planned)
        timing = read_json(root / "timing.json", "plan writes it", dict)
        timed = {key: timing[key] for key in ("iterations", "seconds_per_step")}
        _note(root, state, **timed, runs=runs, patients=patients, hours=hours, data=_size(folder))
    _check_classes(root, classes)
    sys.stdout.write(_outlook(root, state, folder, hours))
    if state["runs"] > 1 and "dice" not in state:
        found = folds(str(root / "plan.yaml"), str(root / "folds"), folds=fold_count)
        _note(root, state, dice=found["dice"], interval=found["interval"])
    elif state["runs"] == 1:
        sys.stdout.write(f"{state['patients']} labeled patients: how well this does on others cannot be measured\n")
    target = root / "run"
    if not is_trained(target):
        lists = (root / "all_labels.json").resolve()
        write_lists(lists, cases_of(read_layer(root / "plan.yaml").content), (), "every label, none held out")
        run(method, str(root / "plan.yaml"), splits=str(lists), validation=None, labeled=None, output_dir=str(target),
            resume=(target / STATE).is_file())  # fmt: skip
    if (calibration := Calibration.beside(root / "folds")) is not None:
        calibration.write(target)
    if "archive" not in state and (license is not None or (Path(folder) / "data_license.txt").is_file()):
        archive = package(str(target), output=str(root / "dist"), license=license, classes=classes, dirty=True)
        _note(root, state, archive=archive)
    sys.stdout.write(_next_steps(root, state, method))
    return str(target)


def _check_classes(root: Path, classes: str | None) -> None:
    if classes is not None:
        class_names(read_layer(root / "plan.yaml").content, classes)


def _outlook(root: Path, state: Mapping, folder: str, hours: float) -> str:
    """What is trained, and until when; and what of the call is not as it was planned."""
    runs, count, seconds = (state[key] for key in ("runs", "iterations", "seconds_per_step"))
    left, planned, usual = runs * hours_of(count, seconds), state.get("hours", hours), runs * hours_of(PAYS, seconds)
    lines = []
    if hours != planned:
        lines.append(f"planned for --hours {planned:g}, which stays; another output_dir plans for {hours:g}")
    if (now := _size(folder)) != (then := state.get("data", now)):
        words = ["{} images and {} labels".format(*size) for size in (then, now)]
        lines.append(f"planned with {words[0]}, now there are {words[1]}: another output_dir takes them all")
    if is_trained(root / "run") and (runs == 1 or "dice" in state):
        return "\n".join([*lines, "all is trained; another output_dir begins anew", ""])
    ends = datetime.now() + timedelta(hours=left)
    late = f", which is more than --hours {planned:g}: fewer iterations teach nothing" if left > planned else ""
    lines.append(
        f"{runs} trainings of {count:,} iterations, {seconds:.2f} s each: done about {ends:%H:%M on %d %B} if nothing "
        f"is done yet{late}"
    )
    if count < PAYS:
        lines.append(f"so few iterations show that it works, not how well it can: {PAYS:,} take --hours {usual:.1f}")
    return "\n".join([*lines, ""])


def _size(folder: str) -> list[int]:
    """Number of images and of labels of the data."""
    cases = find_cases(folder).cases
    return [len(cases), sum(bool(case.labels) for case in cases)]


def _next_steps(root: Path, state: Mapping, method: str) -> str:
    """Commands for what comes after: segment, measure, release, serve."""
    target, out = root / "run", root / "predictions"
    first = cases_of(read_layer(root / "plan.yaml").content).labeled[0]
    images = Path(str(first["image"])).resolve().parent
    infer = paste("run", method, "inference", "--checkpoint", target, "--inputs", images, "--output_dir", out)
    lines = [
        f"{target}: trained",
        f"{infer} # segments a folder of images",
        f"{paste('score', out, 'labels')} # measures that, where labels lie in a folder labels",
        f"{paste('package', target, '--license', 'terms of weights and data')} # makes a release",
    ]
    if not str(first["image"]).lower().endswith(PICTURES):
        lines.append(f"{paste('serve', target, '--studies', images)} # segments and learns in 3D Slicer")
    if "archive" in state:
        lines[3] = f"{state['archive']}: a release"
    return "\n".join([*lines, ""])


def _state(root: Path, about: Mapping[str, Any]) -> dict:
    """What was done already; ``InputError`` where the folder is about something else."""
    path = root / "fit.json"
    purpose = "it tells what fit has done; remove it to begin anew"
    state = read_json(path, purpose, dict) if path.is_file() else dict(about)
    if wrong := next((key for key, value in about.items() if state.get(key) != value), None):
        raise InputError(f"{path}: {wrong} was {state.get(wrong)}, not {about[wrong]}; choose another output_dir")
    return state


def _note(root: Path, state: dict, **done: Any) -> None:
    state.update(done)
    with atomic_path(root / "fit.json") as temporary:
        temporary.write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
