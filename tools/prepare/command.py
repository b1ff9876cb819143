"""``python -m tools prepare``: a distributed archive becomes a training-ready folder."""

from __future__ import annotations

import csv
import inspect
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.datasets import find_cases
from common.errors import InputError, require_folder, require_number, require_whole
from common.files import atomic_path, require_place
from common.groups import patient_of

from ..arguments import read_as
from ..check import check_copies, check_sides, examine
from . import acdc, brats, folder, h5, isbi, la, mnms, mscmr, pancreas, pictures
from .conversion import Dataset
from .lists import drawn
from .runner import Manifest, convert_all, images_of

FINDERS: dict[str, Callable[..., Any]] = {
    "la2018": la.find,
    "pancreas": pancreas.find,
    "brats2019": brats.find,
    "acdc": acdc.find,
    "nci_isbi2013": isbi.find,
    **{name: pictures.finder(name) for name in pictures.EXPECTED},
    "mnms": mnms.find,
    "mscmr": mscmr.find,
    "h5": h5.find,
    "folder": folder.find,
}
COLUMNS = ("path", "label", "domain", "patient", "slice", "split")
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar")
MOST_LEAKS = 20  # printed lines


def prepare(
    dataset: str,
    source: str,
    output: str,
    test: float | None = None,
    seed: int = 1337,
    workers: int | None = None,
    **options: Any,
) -> None:
    """Convert an archive as it is distributed: ``prepare la2018 --source archive --output data/la2018``.

    Writes ``images/``, ``labels/``, ``splits.json``, ``manifest.csv`` (image, label, domain, patient, slice, split)
    and ``manifest.json`` (checksums of sources and results). A second call goes on where the first ended. What is
    wrong with a case is reported, the others are converted, and the exit code tells. At the end the splits are searched
    for patients and images on two sides.

    Args:
        dataset: la2018, pancreas, brats2019, acdc, nci_isbi2013, prostate, fundus, mnms, busi, mscmr, h5 (the
            community's files) or folder (own data, with its splits.json if there is one).
        source: folder of the unpacked archive.
        output: folder to write to.
        test: share of the patients drawn for the test list where neither the source nor a publication has lists; by
            default a fifth of the community's files, and none of own data.
        seed: of what is drawn.
        workers: cases converted at the same time; all cores by default.
        options: of the data set; a wrong one is answered with the list of them.
    """
    find = FINDERS.get(dataset)
    if find is None:
        raise InputError(f"{dataset}: no such data set; there are {', '.join(FINDERS)}")
    known = inspect.signature(find).parameters
    allowed = [name for name in known if name != "source"]
    if "seed" in allowed:
        options["seed"] = seed
    if wrong := sorted(set(options) - set(allowed)):
        raise InputError(f"--{wrong[0]}: no such option of {dataset}; there are {', '.join(allowed) or 'none'}")
    options = {key: read_as(str(known[key].annotation), value, f"--{key}") for key, value in options.items()}
    require_number(0, 1, test=test)
    require_whole(1, workers=workers)
    root = Path(require_folder(source, "it must hold the unpacked archive (source)")).resolve()
    target = Path(output).resolve()
    if target == root or root in target.parents:
        raise InputError(f"{output}: the output must not lie in the source")
    require_place(target, "--output", keep=False, files=("splits.json", "manifest.csv", "manifest.json"))
    test = {"h5": 0.2}.get(dataset, 0.0) if test is None else test
    settings = {"dataset": dataset, "test": test, "seed": seed, "options": options}
    manifest = Manifest(target, settings)
    found = drawn(_found(find, root, options), test, seed)
    if twice := [name for name, times in Counter(case.name for case in found.cases).items() if times > 1]:
        raise InputError(f"{source}: several cases are named {twice[0]}; give the folder of one copy as --source")
    failed, skipped = convert_all(found, manifest, root, workers or os.cpu_count() or 1)
    lists = write_lists(found, manifest)
    sys.stdout.write(summary(found, failed, skipped, lists, target))
    sys.stdout.write(renumbered(found, manifest) + (leaks(target) if any(lists.values()) else ""))
    if failed:
        raise InputError(f"{len(failed)} of {len(found.cases) + len(found.broken)} cases failed, see above")


def _found(find: Callable, source: Path, options: Mapping[str, Any]) -> Dataset:
    """The cases of a folder; the line about one without any names what was not unpacked, or another version."""
    try:
        dataset = find(source, **options)
    except InputError as error:
        packed = next((path for path in sorted(source.rglob("*")) if path.name.lower().endswith(ARCHIVES)), None)
        if packed is None:
            raise
        raise InputError(f"{error}; {packed} is there: unpack it first") from None
    names = [case.name for case in dataset.cases]
    if names and dataset.missing and not any(case.split for case in dataset.cases):
        raise InputError(
            f"{source}: none of the {len(dataset.missing)} published cases ({dataset.missing[0]}, ...) is among the "
            f"{len(names)} found ({names[0]}, ...): another version, or renamed"
        )
    return dataset


def renumbered(dataset: Dataset, manifest: Manifest) -> str:
    """A line where labels have other numbers now than in the source, as segmentations will have."""
    images = [image for case in dataset.cases for image in images_of(case, manifest)]
    changed = {value: number for image in images for value, number in image.get("label_values", {}).items()}
    told = ", ".join(f"{value} is {number}" for value, number in sorted(changed.items(), key=lambda pair: pair[1]))
    return f"label values are class numbers now, in segmentations too: {told}\n" if changed else ""


def leaks(folder: Path) -> str:
    """A line for each patient, or (nearly) identical image, on two sides of the splits of a prepared folder."""
    listing = find_cases(folder)
    facts, signatures = examine(listing)
    patient = patient_of(listing.lists.group)
    check_sides(facts, patient)
    check_copies(facts, signatures, patient)
    lines = [f"LEAK {f.case}: {finding.text}\n" for f in facts for finding in f.findings if finding.kind == "leak"]
    more = [f"LEAK {len(lines) - MOST_LEAKS} more, see: python -m tools check {folder}\n"] if lines[MOST_LEAKS:] else []
    what = ["-> move these images into one list of splits.json, or take one of them out\n"] if lines else []
    return "".join([*lines[:MOST_LEAKS], *more, *what])


def write_lists(dataset: Dataset, manifest: Manifest) -> dict[str, list[str]]:
    """Write ``splits.json`` and ``manifest.csv`` of the converted cases; returns the lists."""
    lists: dict[str, list[str]] = {"train": [], "val": [], "test": [], "unlisted": []}
    key_of = {"train": "train", "validation": "val", "test": "test", None: "unlisted"}
    labeled: list[str] = []
    rows = []
    for case in dataset.cases:
        for image in images_of(case, manifest):
            lists[key_of[case.split]].append(image["name"])
            label = image["files"][1] if len(image["files"]) > 1 else ""
            labeled += [image["name"]] if label and (dataset.labeled is None or case.name in dataset.labeled) else []
            row = (image["files"][0], label, case.domain, case.patient, image.get("slice", ""), case.split or "")
            rows.append(dict(zip(COLUMNS, row)))
    unlabeled = [name for name in lists["train"] if name not in set(labeled)]
    if unlabeled or dataset.labeled is not None:
        lists["labeled"] = [name for name in lists.pop("train") if name in set(labeled)]
        lists["unlabeled"] = unlabeled
    lists = {key: names for key, names in lists.items() if names or key in ("train", "labeled")}
    more: dict[str, Any] = {"origin": dataset.origin}
    more |= {"group": dataset.group} if dataset.group else {}
    more |= {"missing": list(dataset.missing)} if dataset.missing else {}
    with atomic_path(manifest.output / "splits.json") as temporary:
        temporary.write_text(json.dumps({**lists, **more}, indent=1) + "\n", encoding="utf-8")
    with (
        atomic_path(manifest.output / "manifest.csv") as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(row for row in rows if row["split"])
    return lists


def summary(
    dataset: Dataset, failed: Mapping[str, str], skipped: int, lists: Mapping[str, Sequence[str]], output: Path
) -> str:
    """What was done, as text."""
    converted = len(dataset.cases) - sum(case.name in failed for case in dataset.cases) - skipped
    rows = [
        ("converted", converted),
        ("already done", skipped),
        ("failed", len(failed)),
        ("missing from the source", len(dataset.missing)),
        *((f"list '{key}'", len(names)) for key, names in lists.items()),
    ]
    lines = [f"{name:<26}{count:>6}" for name, count in rows if count or name in ("converted", "failed")]
    lines += [f"splits: {dataset.origin}"]
    if dataset.missing:
        lines += ["missing: " + ", ".join(dataset.missing[:8]) + (" ..." if len(dataset.missing) > 8 else "")]
    if dataset.left_out:
        lines += ["not taken: " + ", ".join(dataset.left_out)]
    lines += [f"FAILED {name}: {reason}" for name, reason in sorted(failed.items())]
    return "\n".join([*lines, f"-> {output}", ""])
