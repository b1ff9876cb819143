"""Which cases are labeled next in an experiment: by the strategies of the served app, answered by the truth."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from common.datasets import load_datalist
from common.files import atomic_path, read_json
from common.groups import grouping

from ..label.features import body_share, described, standardized
from ..label.ranking import Choice, covering, several, uncertain, with_foreground
from ..label.worker import score, voxels
from ..run import run
from ..runs import require_run
from ..volumes import array, read

LISTS = "lists.json"


def chosen_lists(folder: Path, before: Path, bundle: str, by: str, options: Mapping[str, Any]) -> Path:
    """Lists in which the labels of a run come first and those that a strategy adds follow; written once.

    Args:
        folder: of the new run, which receives ``lists.json``, with the reason of every choice.
        before: of the run that had fewer labels; its network is asked.
        bundle: of both.
        by: strategy, see ``tools.experiment.file.STRATEGIES``.
        options: of the new run: ``labeled`` says how many there shall be, patients where there is a ``group``.
    """
    path = folder / LISTS
    if path.is_file():
        return path.resolve()
    given = require_run(before).settings
    old = Path(str(given["splits"]))
    keys = {key: given.get(key) for key in ("labeled", "validation", "group")}
    cases = load_datalist(str(given["dataset_dir"]), splits=str(old.resolve()), **keys)
    labeled = [str(case["case"]) for case in cases["labeled"]]
    images = {str(case["case"]): str(case["image"]) for role in ("labeled", "unlabeled") for case in cases[role]}
    patient = grouping(given.get("group"))
    known = {patient(name) for name in labeled}
    offered = {patient(name): name for name in reversed(images) if patient(name) not in known}  # a patient's first
    count = int(str(options["labeled"])) - len(known)
    choices = choose(count, images, labeled, sorted(offered.values()), by, bundle, before, int(str(options["seed"])))
    taken = [name for choice in choices for name in images if patient(name) == patient(choice.id)]
    content = read_json(old, "it should list the cases", dict)
    rest = [name for name in images if name not in {*labeled, *taken}]
    content = {**content, "train": [*labeled, *taken, *rest], "origin": f"labels chosen by {by} after {before.name}",
               "reasons": {**content.get("reasons", {}), **{c.id: f"{by}: {c.reason}" for c in choices}}}  # fmt: skip
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path.resolve()


def choose(
    count: int,
    images: Mapping[str, str],
    labeled: Sequence[str],
    free: Sequence[str],
    by: str,
    bundle: str,
    network: Path,
    seed: int,
) -> list[Choice]:
    """The next images to label, as the app would offer them one after the other to the same network.

    Args:
        count: how many.
        images: file of each training case.
        labeled: those that are labeled.
        free: those that may be chosen; one of each patient.
        by: the strategy.
        bundle: of the network.
        network: folder of its run.
        seed: of what is drawn at random, with the number of labels.
    """
    draw = partial(with_foreground, seed=1000 * seed + len(labeled))
    if by == "coverage":
        features = standardized({name: _described(file) for name, file in images.items()})
        return several(count, free, lambda ids, taken: covering(ids, features, [*labeled, *taken]))
    if by == "random":
        return several(count, free, lambda ids, taken: draw(ids, {}))
    told = _asked({name: images[name] for name in free}, bundle, network)
    if by == "uncertainty":
        return several(count, free, lambda ids, taken: uncertain(ids, told))
    shares = {name: entry["foreground"] for name, entry in told.items()}
    if not any(shares.values()):  # a network that finds nothing says nothing of foreground
        shares = {name: body_share(array(read(images[name]))) for name in free}
    return several(count, free, lambda ids, taken: draw(ids, shares))


def _asked(images: Mapping[str, str], bundle: str, network: Path) -> dict[str, dict[str, float]]:
    """How unsure a network is of each image, and how much it finds there."""
    with TemporaryDirectory() as folder:
        files = list(images.values())
        run(bundle, "inference", checkpoint=str(network), inputs=files, output_dir=folder, uncertainty="entropy")
        told = {}
        for name in images:
            label, doubt = Path(folder) / f"{name}.nii.gz", Path(folder) / f"{name}_uncertainty.nii.gz"
            told[name] = {"score": score(label, doubt), "foreground": float((voxels(label) > 0).mean())}
    return told


def _described(file: str) -> np.ndarray:
    image = read(file)
    return described(array(image), image.GetSpacing())
