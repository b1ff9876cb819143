"""What is checked before any data are read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import InputError, one_line_errors, require_folder
from ..files import require_place
from ..options import Configuration, check_options, current_configuration
from ..options.explain import origin_of
from .folder import open_run, results_folder
from .live import require_tensorboard
from .released import refuse_changed
from .weights import require_weights

HANDLERS = "train#handlers"
RESULTS = ("overwrite", "uncertainty", "probabilities", "dicom_seg")  # options that say what is written
FIGURES = ("metrics.csv", "summary.json")  # of an evaluation
RUN = ("output_dir", "ckpt_dir", "resume", "overwrite", "studies")  # options that say what becomes of a run's folder


def before_training(package: str) -> None:
    """Check the options, that the bundle's own Python is there, and that the run may write to its folder.

    A mistake becomes one line on the terminal.

    Args:
        package: folder of the bundle's Python.
    """
    one_line_errors()
    check_options()
    require_folder(package, "give the folder of the bundle as --bundle_root")
    configuration = current_configuration()
    if configuration is not None:
        if "tensorboard" in configuration and configuration.value("tensorboard"):
            require_tensorboard()
        require_saving(configuration)
        open_run(**{name: configuration.value(name) for name in RUN if name in configuration})


def require_saving(configuration: Configuration) -> None:
    """Raise ``InputError`` where none of the trainer's handlers would save what is trained."""
    handlers = configuration.written(HANDLERS) if HANDLERS in configuration else None
    written = [str(handler.get("_target_")) for handler in handlers or () if isinstance(handler, Mapping)]
    if isinstance(handlers, list) and not any(name.endswith("RunHandler") for name in written):
        raise InputError(f"{origin_of(HANDLERS)}: nothing here saves the run; keep RunHandler, +{HANDLERS} adds others")


def before_inference(checkpoint: str | Path) -> None:
    """Check the options, that there are weights, and that results can be written; a mistake becomes one line."""
    one_line_errors()
    check_options()
    require_weights(checkpoint, "inference needs trained weights (checkpoint)")
    configuration = current_configuration()
    if configuration is not None:
        refuse_changed(configuration)
    if configuration is None or "output_dir" not in configuration:
        return
    target = configuration.value("output_dir")
    require_place(target, "output_dir", keep=False)
    if "split" in configuration:
        how = {name: configuration.value(name) for name in ("split", "statistics") if name in configuration}
        require_place(results_folder(target, **how), "output_dir", keep=False, files=FIGURES)
    if "inputs" not in configuration or "split" in configuration:  # an evaluation writes no images
        return
    require_other_folder(target, configuration.value("inputs"))
    settings = {name: configuration.value(name) for name in RESULTS if name in configuration}
    require_free(target, configuration.value("dataset").data, **settings)


def require_other_folder(target: str | Path, inputs: str | Path | Sequence[str]) -> None:
    """Raise ``InputError`` where results would lie among the images: in their folder, or below a folder of them."""
    place = Path(target).resolve()
    for path in map(Path, [inputs] if isinstance(inputs, (str, Path)) else inputs):
        folder = path if path.is_dir() else path.parent
        above = [place, *place.parents] if path.is_dir() else [place]
        if any(_same(folder, candidate) for candidate in above):
            where = "holds the images to segment" if _same(folder, place) else "lies inside the images to segment"
            raise InputError(f"output_dir {target}: {where} ({path}); name another folder")


def _same(folder: Path, candidate: Path) -> bool:
    """Whether both are one folder, however they are spelled."""
    return folder.exists() and candidate.exists() and folder.samefile(candidate)


def require_free(
    target: str | Path,
    cases: Sequence[Mapping[str, str]],
    overwrite: bool = False,
    uncertainty: str | None = None,
    probabilities: bool = False,
    dicom_seg: bool = False,
) -> None:
    """Raise ``InputError`` where a result would take the place of a file, unless asked for, or of another result."""
    maps = [name for name, wanted in (("uncertainty", uncertainty), ("probabilities", probabilities)) if wanted]
    endings = [".nii.gz", ".png", *(f"_{name}.nii.gz" for name in maps), *([".dcm"] if dicom_seg else [])]
    planned: dict[str, str] = {}
    for case in cases:
        for ending in endings:
            name = f"{case['case']}{ending}"
            if (other := planned.setdefault(name, case["image"])) != case["image"]:
                raise InputError(f"{other} and {case['image']}: both would write {name}; segment them one by one")
    there = [name for name in planned if os.path.lexists(Path(target) / name)]
    if there and not overwrite:
        raise InputError(
            f"output_dir {target}: holds {there[0]} already ({len(there)} such files); overwrite: true replaces "
            "them, or name another folder"
        )
    if taken := next((name for name in there if (Path(target) / name).is_dir()), None):
        raise InputError(f"output_dir {target}: {taken} is a folder, and a file of this name is to be written")
