"""``python -m tools ensemble``: trained networks, and their mirror images, as one network to deploy."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from monai.utils import ensure_tuple

from common.errors import InputError
from common.files import remove_partial, require_place
from common.networks import Ensemble, dimensions, require_axes
from common.options.layers import read_layer
from common.runs import load_weights
from common.runs.record import FILE as RECORD
from common.runs.record import read_record, write_record
from common.runs.settings import FILE, WEIGHTS
from common.tensors import plain, write_file

from .run import config_file
from .runs import Run, require_run

TARGET = "common.networks.Ensemble"
SAME = ("num_classes", "in_channels", "encoding", "spacing", "window", "normalize", "patch_size")  # of all members
PLAIN = "$@trained.component('network_def')"  # where the network of a bundle returns logits


def ensemble(*runs: str, output_dir: str, mirrors: int | Sequence[int] = ()) -> str:
    """Make one run of several: ``ensemble runs/seed1 runs/seed2 --output_dir runs/both``, ``--mirrors 0,1``.

    The mean of the networks' probabilities, over mirror images too if asked for, is a network of its own. The folder
    is that of a run: evaluation, inference, ``package``, ``export`` and MONAI Label take it like any other
    (``--checkpoint runs/both``). Mirror images take effect with one run as well.

    Args:
        runs: folders of runs of one bundle, with equal classes, channels, patch and preprocessing; or their weights.
        output_dir: of the ensemble.
        mirrors: spatial axes to mirror along; each doubles the time.
    """
    if not runs:
        raise InputError("ensemble: expected folders of runs")
    members = [require_run(path) for path in runs]
    first = members[0].settings
    axes = require_axes(ensure_tuple(mirrors), dimensions(first["patch_size"]))
    _require_alike(members)
    written = {
        "_target_": TARGET,
        "networks": [member.settings.parts("network_def") for member in members],
        "mirrors": axes,
    }
    networks = [load_weights(member.settings.component("network_def"), member.weights) for member in members]
    folder = require_place(output_dir, "output_dir", files=[RECORD])
    if there := next((name for name in (WEIGHTS, FILE) if (folder / name).exists()), None):
        raise InputError(f"output_dir: {folder} holds a run already ({there}); give another folder")
    remove_partial(folder)
    settings = first.changed({"output_dir": str(folder), "ckpt_dir": str(folder)})
    settings.components["network_def"] = written
    records = [read_record(member.weights.parent) for member in members]
    settings.write(folder)
    write_file(plain(Ensemble(networks, axes).state_dict()), folder / WEIGHTS)
    facts = {
        "iterations": max((int(record.get("iterations") or 0) for record in records), default=0),
        "data": {case: sums for record in records for case, sums in record.get("data", {}).items()},
        "members": [str(member.weights) for member in members],
        "mirrors": axes,
        "layers": list(members[0].layers),
    }
    write_record(folder, [WEIGHTS, FILE], **facts)
    sys.stdout.write(f"{folder}: {len(members)} networks, {len(members) * 2 ** len(axes)} passes each window\n")
    return str(folder)


def _require_alike(members: Sequence[Run]) -> None:
    """Raise ``InputError`` for runs that do not answer the same question, or whose networks return no logits."""
    first = members[0]
    inference: Mapping = read_layer(config_file(first.bundle, "inference")).content
    if inference["network_def"] != PLAIN:
        raise InputError(f"{first.weights}: a network of {first.bundle.name} is an ensemble already; expected logits")
    for other in members:
        if other.bundle.name != first.bundle.name:
            raise InputError(f"{other.weights}: of {other.bundle.name}, the first run is of {first.bundle.name}")
        if other.settings.literal("network_def")["_target_"] == TARGET:
            raise InputError(f"{other.weights}: is an ensemble; give the runs that it was made of")
        for name in SAME:
            ours, theirs = first.settings.get(name), other.settings.get(name)
            if ours != theirs:
                raise InputError(f"{other.weights}: {name} is {theirs}, that of the first run {ours}")
        if other.settings.literal("preprocessing") != first.settings.literal("preprocessing"):
            raise InputError(f"{other.weights}: images are prepared otherwise than for {first.weights}")
