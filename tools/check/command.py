"""``python -m tools check``: find what is wrong with a data set before a GPU does."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.datasets import Listing, find_cases
from common.datasets.endings import ENDINGS
from common.datasets.likeness import Signature, grid_step
from common.errors import InputError, require_choice, require_whole
from common.files import atomic_path, require_place
from common.groups import patient_of, with_known

from .compare import (
    check_alike,
    check_coded,
    check_copies,
    check_intensities,
    check_labels,
    check_sides,
    check_spacings,
)
from .families import group_by_names, suggest_group
from .first import WAYS, label_first, told
from .inspect import Facts, Finding, header, inspect
from .remedies import REMEDIES
from .sheet import contact_sheet
from .unlike import check_unlike

REPORT, SHEET = "check.json", "contact_sheet.png"
NAMED = 3  # cases named in a line of the overview; all are in check.json


def check(
    folder: str,
    images: str = "images",
    labels: str | None = None,
    classes: int | None = None,
    group: str | None = None,
    output: str = "check",
    strict: bool = False,
    workers: int | None = None,
    first: int = 0,
    by: str = "coverage",
) -> None:
    """Examine every case of a data set: ``check data/la2018``; writes ``check.json`` and ``contact_sheet.png``.

    Errors are unreadable files, geometry of a label unlike its image's, label values that are no class numbers, NaN,
    constant images, a patient or an identical image in training and test. Warnings are odd spacings and intensities,
    empty labels, absent classes, images (nearly) identical to others, and unlabeled images unlike the labeled ones.
    Each kind comes with what to do about it. The exit code is 1 where there are errors.

    Args:
        folder: images/ and labels/ with or without splits.json, several domains with such folders, or a JSON list.
        images: name of the folder of images.
        labels: name of the folder of labels; labels or masks by default.
        classes: number of classes, background included; by default as many as there are values.
        group: template of names such as '{patient}_*', in quotes; splits.json may bring its own.
        output: folder of the report.
        strict: warnings count as errors.
        workers: cases read at the same time; all cores by default.
        first: also choose so many images to label first, with the reason for each.
        by: how: ``coverage``, ``foreground`` or ``random``.
    """
    started = time.perf_counter()
    require_whole(1, workers=workers)
    require_whole(2, classes=classes)
    require_whole(0, first=first)
    require_choice(by=(by, WAYS))
    require_place(output, "--output", keep=False, files=(REPORT, SHEET))
    listing = find_cases(folder, images, labels)
    lists = listing.lists
    names = [case.name for case in listing.cases]
    known = group or (lists.group if lists else None)
    patient = patient_of(known or group_by_names(names), names)
    patient = with_known(patient, lists.patients) if lists and not group else patient
    facts, signatures = examine(listing, workers)
    values = check_coded(facts, classes)
    check_labels(facts, classes)
    check_spacings(facts)
    check_intensities(facts)
    check_sides(facts, patient)
    label_next = check_unlike(facts)
    pairs = check_copies(facts, signatures, patient)
    alike = [(pair["first"], pair["second"]) for pair in pairs if not pair["identical"]]
    suggested = None if known else suggest_group([f.case for f in facts], alike)
    many = check_alike(facts, pairs, patient_of(suggested) if suggested else patient)
    for name, reason in listing.broken.items():
        facts.append(
            Facts(name, "listed", "", findings=[Finding("error", "incomplete", reason, REMEDIES["incomplete"])])
        )
    target = Path(output)
    flagged = [f.case for f in facts if f.findings]
    contact_sheet(listing.cases, target / SHEET, first=flagged)
    counts = Counter(finding.level for f in facts for finding in f.findings)
    content = {"folder": str(folder), "cases": [f.as_json() for f in facts], "pairs": pairs, "findings": dict(counts)}
    chosen = label_first(listing.cases, facts, int(first), by) if first else []
    content |= {"label_next": label_next, "label_first": [asdict(choice) for choice in chosen], "group": suggested}
    with atomic_path(target / REPORT) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(overview(facts, values) + not_read(listing) + many + advice(label_next, suggested) + told(chosen))
    sys.stdout.write(f"{time.perf_counter() - started:.0f} s; {target / REPORT}, {target / SHEET}\n")
    if counts["error"] or (strict and counts["warning"]):
        raise InputError(
            f"{folder}: {counts['error']} errors and {counts['warning']} warnings, see above{_first(facts)}"
        )


def examine(listing: Listing, workers: int | None = None) -> tuple[list[Facts], dict[str, Signature]]:
    """Facts and findings of every case by itself, and the signatures of the images."""
    with ThreadPoolExecutor(max_workers=workers or os.cpu_count() or 1) as pool:
        shapes = [shape for shape in pool.map(header, [item.image for item in listing.cases]) if shape]
        step = grid_step(shapes) if shapes else (1,)
        results = pool.map(lambda item: inspect(item, step), listing.cases)
        facts, signatures = [], {}
        for found, mark in tqdm(results, total=len(listing.cases), desc="checking", disable=None):
            facts.append(found)
            if mark is not None:
                signatures[found.case] = mark
    return facts, signatures


def _first(facts: Sequence[Facts]) -> str:
    """The first error, as the end of a sentence."""
    errors = [(f.case, finding) for f in facts for finding in f.findings if finding.level == "error"]
    return f"; the first: {errors[0][0]}, {errors[0][1].text}" if errors else ""


def not_read(listing: Listing) -> str:
    """A line about files among the images and labels that are none by their endings."""
    if not listing.ignored:
        return ""
    some = ", ".join(path.name for path in listing.ignored[:NAMED])
    return f"not read: {len(listing.ignored)} files, such as {some} (read are {', '.join(ENDINGS)} and DICOM)\n"


def advice(label_next: Sequence[str], suggested: str | None) -> str:
    """Lines about the whole data set: what to label next, and a template of names that tells patients apart."""
    lines = [f"label next: {', '.join(label_next)}, the farthest from what is labeled\n"] if label_next else []
    if suggested:
        lines.append(
            f"names share parts: --group '{suggested}' keeps a patient's images together; plan takes it by itself\n"
        )
    return "".join(lines)


def overview(facts: Sequence[Facts], stored: Sequence[int] = ()) -> str:
    """The data set in a few lines, then a line per kind of finding; ``stored``: the value of each class, if others."""
    seen = [f for f in facts if f.shape]
    roles = Counter(f.role for f in seen)
    listed = ", ".join(f"{count} {role}" for role, count in roles.items())
    listed = "in no list yet, plan draws them" if set(roles) == {"unlisted"} else listed
    lines = [f"{len(seen)} images, {sum(bool(f.volumes) for f in seen)} with a readable label: {listed}"]
    for name, values in (("extents", [f.shape for f in seen]), ("spacing", [f.spacing for f in seen])):
        dims = Counter(len(value) for value in values).most_common(1)
        alike = np.array([value for value in values if len(value) == dims[0][0]]) if dims else np.empty((0, 0))
        if alike.size:
            parts = (alike.min(axis=0), np.median(alike, axis=0), alike.max(axis=0))
            lines.append(f"{name:<10}" + "  ".join(" x ".join(f"{v:g}" for v in part) for part in parts))
    lines.append("          (least, median, most)")
    for value in sorted({value for f in seen for value in f.volumes}):
        unit = "ml" if any(len(f.shape) == 3 for f in seen) else "mm2"
        sizes = [f.volumes[value] for f in seen if value in f.volumes]
        kept = f", stored as {stored[value]}" if stored and stored[value] != value else ""
        lines.append(f"class {value:<4}in {len(sizes)} labels, median {np.median(sizes):.4g} {unit}{kept}")
    rows: dict[tuple[str, str, str], list[str]] = {}
    for case in facts:
        for f in case.findings:
            rows.setdefault((f.level, f.kind, f.text), []).append(case.case)
    said = ""
    for (level, kind, text), cases in sorted(rows.items(), key=lambda row: row[0][:2]):
        if said and said != kind:
            lines.append(f"{'':<9}-> {REMEDIES[said]}")
        said = kind
        more = f" and {len(cases) - NAMED} more" if len(cases) > NAMED else ""
        lines.append(f"{level:<9}{kind:<15}{', '.join(cases[:NAMED])}{more}: {text}")
    lines += [f"{'':<9}-> {REMEDIES[said]}"] if said else []
    return "\n".join([*lines, "" if rows else "nothing found\n"])
