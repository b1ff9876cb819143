"""What is checked before any data are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError, one_line_errors, require_folder
from ..options import check_options, current_configuration
from .folder import open_run, require_place
from .released import refuse_changed
from .weights import require_weights

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
        open_run(**{name: configuration.value(name) for name in RUN if name in configuration})


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
    if "inputs" in configuration and "split" not in configuration:  # an evaluation writes no images
        require_other_folder(target, configuration.value("inputs"))


def require_other_folder(target: str | Path, inputs: str | Path | Sequence[str]) -> None:
    """Raise ``InputError`` where results, which have the names of their images, would take the images' places."""
    for path in map(Path, [inputs] if isinstance(inputs, (str, Path)) else inputs):
        folder = path if path.is_dir() else path.parent
        if Path(target).resolve() == folder.resolve():
            raise InputError(f"output_dir {target}: holds the images to segment ({path}); name another folder")
