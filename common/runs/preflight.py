"""What is checked before any data are read."""

from __future__ import annotations

from pathlib import Path

from ..errors import one_line_errors, require_folder
from ..options import check_options, current_configuration
from .folder import open_run, require_place
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
    if configuration is not None and "output_dir" in configuration:
        require_place(configuration.value("output_dir"), "output_dir", keep=False)
