"""A run killed with SIGKILL at random moments and resumed ends with the weights of a run that was not.

``SSL_SEG_KILLS=20 pytest -rA tests/bundles/test_resume_killed.py`` spreads so many kills over the bundles and tells
where they struck; without it there are three, in three bundles.
"""

import os
import random
import subprocess

import pytest
import torch

from .conftest import BUNDLES
from .killing import QUIET, ROWS, command, rows, train_with_kills

NAMES = sorted(path.name for path in BUNDLES.glob("*_segmentation"))
NAMES = NAMES[1::2] + NAMES[::2]  # two and three dimensions among the first three
KILLS = int(os.environ.get("SSL_SEG_KILLS", "3"))
COUNTS = {name: len(range(number, KILLS, len(NAMES))) for number, name in enumerate(NAMES)}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", [name for name in NAMES if COUNTS[name]])
def test_killed_and_resumed_equals_uninterrupted(name, phantoms_of, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run(command(name, phantoms_of(name), whole), check=True, **QUIET)
    draw = random.Random(f"{name} {os.environ.get('SSL_SEG_KILLS_SEED', 0)}")
    moments = train_with_kills(name, phantoms_of(name), broken, COUNTS[name], draw)
    assert len(moments) == COUNTS[name]
    for number, moment in enumerate(moments, start=1):
        print(f"{name}, kill {number}: {moment}")  # noqa: T201
    for file in ("model.pt", "model_best.pt", "model_average.pt"):
        first, second = (torch.load(folder / file, weights_only=True) for folder in (whole, broken))
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first), file
    assert rows(broken) == rows(whole) and len(rows(whole)) == ROWS
    assert {path.name for path in broken.iterdir()} == {path.name for path in whole.iterdir()}
    assert not [path.name for path in broken.iterdir() if path.name.startswith(".")]
