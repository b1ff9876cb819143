"""A published repository's own loop over the windows of a volume, from a user's clone, beside ours.

``python -m tools.benchmark.peer FOLDER ROUNDS THREADS SEED`` is the process that runs its code, and answers in a line.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from common.errors import InputError, require_folder
from common.inferers import SlidingWindowInferer
from common.networks import VNet

from ..parity.peer import answers_of
from ..parity.worker import ANSWER, load, one_line, prepare
from .contest import Contest, times, without_gradient

NAME = "test_single_case"  # of these loops in the code that goes back to UA-MT, with endings of its own in some
NETWORK, IMAGE, OPTIONAL = ("net", "model"), "image", "num_classes"
STEPS = ("stride_xy", "stride_z", "patch_size")
SHAPE, WINDOW, STRIDE = (80, 80, 40), (64, 64, 32), (16, 16, 8)
SAME = 1e-4  # of a probability: such code adds up in half precision or in another order
MINUTES = 30


def peer(folder: str, rounds: int, threads: int | None, seed: int) -> dict[str, Any]:
    """The row of a contest between the loop of a clone and ours, with the same network.

    Raises:
        InputError: for a folder that is none, has no such loop, or has one that does not run.
    """
    require_folder(folder, "expected a clone of a published repository (peer_repo)")
    arguments = (Path(folder).resolve(), rounds, threads or 0, seed)
    answer = answers_of(__name__, arguments, folder, MINUTES)[-1]
    if "why" in answer:
        raise InputError(f"{folder}: {answer['why']}")
    return dict(answer)


def loops(folder: Path) -> Iterator[tuple[str, str, Sequence[str]]]:
    """File, name and parameters of the functions of a clone that segment a volume window by window."""
    for path in sorted(folder.rglob("*.py")):
        try:
            functions = ast.parse(path.read_text(encoding="utf-8")).body
        except (SyntaxError, ValueError):  # of another Python
            continue
        for function in functions:
            if isinstance(function, ast.FunctionDef) and function.name.startswith(NAME):
                yield str(path.relative_to(folder)), function.name, [argument.arg for argument in function.args.args]


def contest_with(folder: Path) -> Contest:
    """The first loop of a clone that runs, beside ours.

    Raises:
        ValueError: with what each of them lacks.
    """
    network = VNet(base_channels=16).eval()
    image = torch.randn(1, 1, *SHAPE)
    inferer = SlidingWindowInferer(WINDOW, STRIDE, amp=False)
    known = {IMAGE: image[0, 0].numpy(), OPTIONAL: 2, **dict(zip(STEPS, (STRIDE[0], STRIDE[2], WINDOW)))}
    reasons = []
    for file, name, parameters in loops(folder):
        model = next((word for word in parameters if word in NETWORK), None)
        if model is None or not {IMAGE, *STEPS} <= {*parameters}:
            reasons.append(f"{file}: {name} has other parameters ({', '.join(parameters)})")
            continue
        given = {word: known[word] for word in parameters if word in known}
        for outputs in (1, 2):
            try:
                call = without_gradient(
                    _called(load(folder, file, name), {**given, model: Returning(network, outputs)})
                )
                call()
            except Exception as error:  # whatever that code does
                reasons.append(f"{file}: {name}: {one_line(error)}")
            else:
                work = f"{file}: {name}, V-Net of 16 channels, {times(SHAPE)}, window {times(WINDOW)}"
                return Contest(work, call, without_gradient(lambda: [inferer(image, network)[0]]), SAME)
    raise ValueError("; ".join(reasons[:3]) or f"no function {NAME}... in its Python files")


class Returning(nn.Module):
    """A network that returns its logits so many times, as the one that such code was written for did."""

    def __init__(self, network: nn.Module, outputs: int) -> None:
        super().__init__()
        self.network, self.outputs = network, outputs

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        logits = self.network(x)
        return logits if self.outputs == 1 else (logits,) * self.outputs


def _called(function: Any, arguments: Mapping[str, Any]) -> Any:
    def call() -> list[np.ndarray]:
        _, maps = function(**arguments)
        return [np.asarray(maps)]

    return call


def main(folder: str, rounds: str, threads: str, seed: str) -> None:
    from .command import compare

    answers, sys.stdout = sys.stdout, sys.stderr  # what that code prints is no answer
    if int(threads):
        torch.set_num_threads(int(threads))
    torch.manual_seed(int(seed))
    prepare(Path(folder))
    try:
        contest = contest_with(Path(folder))
        answer = {"contest": "peer", "input": contest.work, **compare(contest, int(rounds))}
    except ValueError as error:
        answer = {"why": str(error)}
    answers.write(f"{ANSWER}\t{json.dumps(answer)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
