"""``python -m tools draw``: lists of cases drawn at random, held-out ones first."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from common.datasets import LAYOUTS, Case, draw_lists, find_cases
from common.datasets.domains import ONE_DOMAIN
from common.datasets.likeness import find_pairs, grid_step, signature
from common.errors import InputError, require_choice, require_folder, require_number, require_whole
from common.files import atomic_path, require_place
from common.groups import grouping

from .volumes import array, read


def draw(
    dataset_dir: str,
    layout: str = "lists",
    draws: int = 3,
    development: float = 0.1,
    report: float = 0.2,
    group: str | None = None,
    seed: int = 1337,
    copies: bool = True,
    output: str | None = None,
) -> list[str]:
    """Draw lists for training: ``draw data/busi --layout domain_lists --development 20 --report 0.3``.

    Writes ``draw_1.json``, ``draw_2.json`` and so on, for the option ``splits`` of a training. All hold out the same
    cases: ``val`` for choices, ``test`` for figures that no choice saw; an official test list is left alone. The order
    of ``train`` differs: the first cases of a domain are the labeled ones. Patients and nearly equal images stay
    together. Each file says how it was drawn.

    Args:
        dataset_dir: folder of the data set.
        layout: where its files and splits are: lists (one domain), domain_lists, busi, acdc_groups and so on.
        draws: how many files.
        development: share of each domain's patients (images, where no patients are known) for ``val``; from 1 on a
            number.
        report: likewise for ``test``.
        group: template of names such as {patient}_*: the patients of a domain.
        seed: of everything drawn.
        copies: look for nearly equal images, which takes a read of all of them.
        output: folder to write to; the data set's by default.

    Returns:
        The files.
    """
    root = Path(require_folder(dataset_dir, "it must hold the data set (dataset_dir)"))
    require_choice(layout=(layout, (*LAYOUTS, ONE_DOMAIN)))
    require_whole(1, draws=draws)
    require_number(0, development=development, report=report)
    require_place(output or root, "--output", keep=False, files=[f"draw_{n}.json" for n in range(1, draws + 1)])
    cases = cases_of(root, layout, group)
    alike = nearly_equal(cases) if copies else []
    made = {
        f"draw_{number}.json": {
            **draw_lists(cases, development, report, alike, seed, number),
            "origin": f"drawn by python -m tools draw: draw {number}",
            "seed": seed,
            "held_out": {"development": development, "report": report},
            "copies": alike,
        }
        for number in range(1, draws + 1)
    }
    folder = Path(output) if output else root
    folder.mkdir(parents=True, exist_ok=True)
    for name, lists in made.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_text(json.dumps(lists, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(summary(next(iter(made.values())), alike))
    return [str(folder / name) for name in made]


def cases_of(root: Path, layout: str, group: str | None = None) -> list[Case]:
    """Cases of a data set with their roles and, where they are known, domains and patients."""
    if layout == ONE_DOMAIN:
        listing = find_cases(root)
        for reason in listing.broken.values():
            raise InputError(reason)
        cases = [case for case in listing.cases if listing.lists is None or case.role != "unlisted"]
    else:
        cases = list(LAYOUTS[layout](root))
    if not cases:
        raise InputError(f"{root}: no images in the layout '{layout}' here (dataset_dir, layout)")
    if group is None:
        return cases
    patient_of = grouping(group)
    return [replace(case, patient=f"{case.domain}/{patient_of(case.name)}") for case in cases]


def nearly_equal(cases: Sequence[Case]) -> list[tuple[str, str]]:
    """Pairs of cases of different patients whose images are the same, or nearly so."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        images = list(pool.map(lambda case: array(read(case.image)), cases))
    step = grid_step([image.shape for image in images])
    signatures = {case.name: signature(image, step) for case, image in zip(cases, images)}
    owner = {case.name: case.owner for case in cases}
    pairs = find_pairs(signatures, lambda one, other: owner[one] == owner[other])
    return [(pair.first, pair.second) for pair in pairs if owner[pair.first] != owner[pair.second]]


def summary(lists: Mapping[str, Any], alike: Sequence[tuple[str, str]]) -> str:
    """What was drawn, as text."""
    words = {"train": "to train on", "val": "for choices (val)", "test": "for figures (test)"}
    counts = [f"{len(lists[key]):>6} {text}" for key, text in words.items()]
    counts += [f"{len(lists['untouched']):>6} of the official test list, left alone"] if "untouched" in lists else []
    pairs = [f"  {one} = {other}" for one, other in alike[:10]] + (["  ..."] if len(alike) > 10 else [])
    return "\n".join([*counts, f"{len(alike):>6} pairs of nearly equal images, kept together", *pairs, ""])
