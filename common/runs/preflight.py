"""What is checked before any data are read."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError, one_line_errors, require_folder
from ..options import check_options
from .settings import weights_file


def before_training(package: str, **run: object) -> None:
    """Check the options and that the bundle's own Python is there; a mistake becomes one line on the terminal.

    Args:
        package: folder of the bundle's Python.
    """
    one_line_errors()
    check_options()
    require_folder(package, "give the folder of the bundle as --bundle_root")


def before_inference(checkpoint: str | Path) -> None:
    """Check the options and that there are weights; a mistake becomes one line on the terminal."""
    one_line_errors()
    check_options()
    path = weights_file(checkpoint)
    if not path.is_file():
        raise InputError(f"{path}: no such file; inference needs trained weights (checkpoint)")
