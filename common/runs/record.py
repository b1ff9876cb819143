"""What is known of a finished run: data, environment, command, checksums; ``record.json`` beside the weights."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from monai.utils import ensure_tuple

from ..datasets.sums import sha256, sum_of
from ..errors import InputError
from ..files import atomic_path, read_json

FILE, FORMAT = "record.json", 1
PACKAGES = ("torch", "monai", "numpy", "pytorch-ignite", "nibabel", "SimpleITK")


def fingerprint(cases: Iterable[Mapping]) -> dict[str, dict[str, str]]:
    """Sums of the files of each case, ``{case: {"image": sum[, "label": sum]}}``; of a DICOM series, of all its files.

    Cases without a name are called by the file of their image.
    """
    wanted = {
        (case_name(case), key): ensure_tuple(case[key]) for case in cases for key in ("image", "label") if key in case
    }
    with ThreadPoolExecutor() as pool:
        sums = dict(zip(wanted, pool.map(sum_of, wanted.values())))
    found: dict[str, dict[str, str]] = {}
    for (case, key), digest in sums.items():
        found.setdefault(case, {})[key] = digest
    return found


def case_name(case: Mapping) -> str:
    """Name of a case; of one without, the name of its image's file."""
    return str(case.get("case") or Path(str(ensure_tuple(case["image"])[0])).name)


def environment() -> dict[str, Any]:
    """Versions, commit, machine and command line of this process."""
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else platform.processor() or platform.machine()
    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "commit": _commit(),
        "machine": {
            "host": platform.node(),
            "system": platform.platform(),
            "device": device,
            "threads": torch.get_num_threads(),
        },
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Commit of the code's repository, with ``-dirty`` for changed files; ``None`` outside one."""
    folder = Path(__file__).resolve().parent
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        result = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return None
    return result.stdout.strip() or None


def write_record(folder: str | Path, weights: Iterable[str], **facts: Any) -> None:
    """Write ``record.json`` with the sums of some files of the folder, this process's environment and ``facts``."""
    folder = Path(folder)
    content = {
        "format": FORMAT,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        **facts,
        "weights": {name: sha256(folder / name) for name in weights if (folder / name).is_file()},
        **environment(),
    }
    with atomic_path(folder / FILE) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_record(folder: str | Path) -> dict:
    """The record of a run's folder, empty where there is none; ``InputError`` for one that cannot be read."""
    file = Path(folder) / FILE
    if not file.exists():
        return {}
    purpose = "it tells whether the files beside it are as the run left them; restore it, or remove it to do without"
    content = read_json(file, purpose, dict)
    weights = content.get("weights", {})
    if not isinstance(weights, dict) or not all(isinstance(digest, str) for digest in weights.values()):
        raise InputError(f"{file}: weights: expected the checksum of each file; {purpose}")
    return content


def require_recorded(path: Path) -> None:
    """Raise ``InputError`` if the record beside a file lists another checksum for it."""
    expected = _listed(path.parent).get(path.name)
    if expected is not None and expected != sha256(path):
        raise InputError(f"{path}: is not the file that {FILE} beside it lists: changed since, or damaged")


def require_of_run(weights: Path) -> None:
    """Raise ``InputError`` for weights that the record beside them knows neither by name nor by content."""
    listed = _listed(weights.parent)
    if listed and weights.is_file() and weights.name not in listed and sha256(weights) not in listed.values():
        raise InputError(
            f"{weights}: none of the weights that {FILE} beside it lists, so the settings there are not its own; "
            "give it a folder of its own"
        )


def _listed(folder: Path) -> Mapping[str, str]:
    return read_record(folder).get("weights", {})
