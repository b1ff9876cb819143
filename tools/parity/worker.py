"""The process that runs published code: ``python -m tools.parity.worker METHOD FOLDER SEED``, answers in JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from .tables import PEER, module_of

ANSWER = "answer"  # begins a line that one of these processes answers in
ROOTS = ("", "code")  # of a clone, from which its modules import each other
REMOVED = {"int": int, "float": float, "bool": bool, "object": object}  # aliases of old numpy


def main(method: str, folder: str, seed: str) -> None:
    """Answer for every function that can be called: its rows, or why it did not run."""
    peers = module_of(method, PEER).PEERS  # ours is imported before the clone can hide it
    answers, sys.stdout = sys.stdout, sys.stderr  # what that code prints is no answer
    prepare(Path(folder))
    for peer in peers:
        answer = {"function": peer.function, **answer_of(peer, Path(folder), int(seed))}
        answers.write(f"{ANSWER}\t{json.dumps(answer)}\n")


def prepare(folder: Path) -> None:
    """Let the clone's modules find each other, and run without a GPU and with a new numpy."""
    import numpy
    import torch

    sys.argv = sys.argv[:1]  # scripts there read the command line when they are imported
    sys.path[:0] = [str(folder / root) for root in ROOTS if (folder / root).is_dir()]
    for name, kind in REMOVED.items():
        if name not in vars(numpy):
            setattr(numpy, name, kind)
    if not torch.cuda.is_available():
        for kind in (torch.Tensor, torch.nn.Module):
            kind.cuda = lambda self, *_, **__: self


def answer_of(peer: Any, folder: Path, seed: int) -> Mapping:
    """Rows of a comparison with the clone's function, or why there are none."""
    file, _, name = peer.function.partition(": ")
    try:
        published = load(folder, file.split(" ")[-1], name)
    except ModuleNotFoundError as error:
        return {"why": f"requirement missing: Python module {error.name}"}
    except Exception as error:  # whatever that code does when it is imported
        return {"why": one_line(error)}
    try:
        return {"rows": [[what, float(off), tolerance] for what, off, tolerance in peer.worst(published, seed)]}
    except Exception as error:
        return {"why": f"called as at the recorded commit it stops: {one_line(error)}"}


def load(folder: Path, file: str, name: str) -> Any:
    """A function or class of a file of the clone."""
    path = folder / file
    if not path.is_file():
        raise FileNotFoundError(f"no file {file}")
    root, *_ = [root for root in reversed(ROOTS) if file.startswith(f"{root}/") or not root]
    module = import_module(".".join(path.relative_to(folder / root).with_suffix("").parts))
    if Path(module.__file__).resolve() != path.resolve():
        raise ImportError(f"{module.__name__} is {module.__file__}, not {file}")
    if not hasattr(module, name):
        raise AttributeError(f"{file} has no {name}")
    return getattr(module, name)


def one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


if __name__ == "__main__":
    main(*sys.argv[1:])
