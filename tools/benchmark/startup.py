"""From a command to its first result."""

from __future__ import annotations

import subprocess
import sys

from .contest import Contest, Result


def help(device: str, bundle: str = "ssnet_segmentation") -> Contest:
    """Help on a bundle's options: importing torch and MONAI -> python -m tools run ssnet_segmentation --help"""
    return Contest(
        "a process each",
        lambda: _run("-c", "import torch, monai"),
        lambda: _run("-m", "tools", "run", bundle, "--help"),
        0,
    )


def _run(*arguments: str) -> Result:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return [0.0]


CONTESTS = (help,)
