"""Run a script of this folder in a process that cannot import the repository, as the user of a release runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from common.errors import InputError

REPOSITORY = Path(__file__).resolve().parents[2]
START = """
import runpy, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("common", "tools"):
            raise ImportError(f"{name}: a released bundle must not need the repository")
if sys.argv.pop(1) == "released":
    sys.meta_path.insert(0, Refuse())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_isolated(script: str, bundle: Path, released: bool = True, **request: Any) -> dict:
    """Answer of ``script`` (a JSON object on its last line) to a request about a bundle, from an empty directory.

    Args:
        script: name of a script in this folder.
        bundle: the bundle's folder.
        released: keep ``common`` and ``tools`` out of reach; a bundle in the repository needs the former.
        request: values that the script reads as JSON.

    Raises:
        InputError: with the script's last words, if it fails.
    """
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}  # TorchScript orders constants by hash
    if not released:
        environment["PYTHONPATH"] = str(REPOSITORY)
    path = Path(__file__).with_name(f"{script}.py")
    words = ["released" if released else "source", str(path), str(bundle), json.dumps(request)]
    with TemporaryDirectory() as folder:
        result = subprocess.run(
            [sys.executable, "-c", START, *words], cwd=folder, env=environment, capture_output=True, text=True
        )
    if result.returncode:
        lines = result.stderr.strip().splitlines() or ["no message"]
        errors = [line for line in lines if line.startswith("error: ")]
        raise InputError(f"{bundle.name}: {(errors or lines)[-1].removeprefix('error: ')}")
    return json.loads(result.stdout.strip().splitlines()[-1])
