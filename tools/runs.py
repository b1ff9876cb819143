"""What a run's folder tells the tools that come after it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError
from common.runs import Settings, weights_file
from common.runs.components import packages_of
from common.runs.record import read_record
from common.runs.settings import FILE

from .run import BASES, bundle_folder, config_file, layer_names


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        weights: file of its weights.
        settings: of the training.
        bundle: folder of its bundle, where it was or, by its name, in the repository.
        layers: names of the bundle's layers that it was started with.
    """

    weights: Path
    settings: Settings
    bundle: Path
    layers: tuple[str, ...]


def read_run(path: str | Path) -> Run | None:
    """The run whose folder, or weights, ``path`` names; ``None`` where no settings lie beside them."""
    weights = weights_file(path)
    if not weights.with_name(FILE).is_file():
        return None
    settings = Settings.read(weights.with_name(FILE))
    stated = Path(str(settings["bundle_root"]))
    still_there = stated.is_absolute() and config_file(stated, "train").is_file()
    bundle = bundle_folder(str(stated) if still_there else stated.name)
    settings.packages = tuple(packages_of(bundle))
    if str(bundle) not in sys.path:  # where its components are, as its configurations do it
        sys.path.insert(0, str(bundle))
    record = read_record(weights.parent)
    words = [str(word) for word in record.get("layers", record.get("command", ()))]  # of an ensemble, or of a training
    known = [name for name in layer_names(bundle) if name not in (*BASES, "multi_gpu_train")]
    parts = [part for word in words for part in word.strip("[]").replace("'", "").split(",")]
    layers = tuple(dict.fromkeys(Path(part).stem for part in parts if Path(part).stem in known))
    return Run(weights, settings, bundle, layers)


def require_run(path: str | Path) -> Run:
    """The run at ``path``; ``InputError`` where there is none."""
    run = read_run(path)
    if run is None:
        raise InputError(f"{path}: no run: expected a folder that training wrote, with {FILE} beside the weights")
    return run
