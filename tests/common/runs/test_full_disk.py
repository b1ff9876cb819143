"""A disk that fills up while a run saves: one line, and what was there before is whole."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from common.engines import SemiSupervisedTrainer
from common.errors import one_line
from common.runs import Resume, SaveModel
from tests.toys import LinearObjective, batches

ROOT = Path(__file__).resolve().parents[3]


class Heavy(LinearObjective):
    """A weight beside a buffer of some size."""

    def __init__(self, kilobytes):
        super().__init__()
        self.register_buffer("ballast", torch.rand(256 * kilobytes))


def train(folder, kilobytes, epochs, resume=False):
    objective = Heavy(kilobytes)
    optimizer = torch.optim.SGD(objective.parameters(), 0.1)
    handlers = [
        Resume(folder / "resume.pt", objective, [optimizer], [], nn.Identity(), resume=resume),
        SaveModel(objective, folder / "model.pt"),
    ]
    SemiSupervisedTrainer("cpu", epochs, batches(1), objective, optimizer, train_handlers=handlers).run()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip("mounting is not permitted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_leaves_the_states_that_were_there(small_disk):
    with pytest.raises(OSError) as caught:
        train(small_disk, 400, epochs=5)  # two states fit, and not the third beside them
    assert one_line(caught.value) == (
        f"{small_disk / 'resume.pt'}: no space left on device; files that were there before are as they were"
    )
    assert sorted(path.name for path in small_disk.iterdir()) == ["resume.previous.pt", "resume.pt"]
    states = [torch.load(small_disk / name, weights_only=True) for name in ("resume.previous.pt", "resume.pt")]
    assert [state["iteration"] for state in states] == [1, 2]


LIMITED = """
import resource, sys
from pathlib import Path
from common.errors import one_line_errors
from test_full_disk import train
one_line_errors()
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
train(Path(sys.argv[1]), 400, epochs=2, resume=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs limits of the process")
def test_a_file_that_may_not_grow_is_one_line(tmp_path):
    train(tmp_path, 1, epochs=1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "resume.pt").unlink()
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}", "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    path = tmp_path / "resume.pt"
    assert errors == [f"error: {path}: file too large; files that were there before are as they were"]
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"model.pt": before["model.pt"]}
