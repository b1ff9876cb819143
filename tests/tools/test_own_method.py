"""A new method is one folder: as it is written at first, it trains, plans, evaluates, packages and verifies."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import pytest
import yaml

from common.data import Phantom, write_phantoms
from common.errors import InputError
from tools.new_method import new_method
from tools.package import package
from tools.plan import plan
from tools.run import run
from tools.verify import verify

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def method(tmp_path, monkeypatch):
    """The folder of a new method; its package is forgotten afterwards."""
    new_method("doubt", str(tmp_path / "mine"), "Doubt")
    (tmp_path / "mine" / "doubt_segmentation" / "plan.yaml").write_text(
        "passes: 2\nramp_up: 0.5\ncpu: {base_channels: 4}\n", encoding="utf-8"
    )
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path / "mine" / "doubt_segmentation"
    for name in [name for name in sys.modules if name.partition(".")[0] == "doubt"]:
        del sys.modules[name]


def test_a_folder_is_a_method(method, tmp_path, capsys):
    data = write_phantoms(tmp_path / "data", Phantom((24, 24, 32)), labeled=2, unlabeled=2, validation=1, test=1)
    plan(str(data), method=str(method), device="cpu", memory=16.0, iterations=4)
    planned = yaml.safe_load((data / "plan.yaml").read_text(encoding="utf-8"))
    assert (planned["ramp_up"], planned["base_channels"]) == (2, 4)

    with pytest.raises(InputError, match="consistency_weight -1: expected .* 0 to 1000"):
        run(str(method), str(data / "plan.yaml"), consistency_weight=-1)

    folder, options = tmp_path / "run", {"device": "cpu", "amp": False}
    run(str(method), str(data / "plan.yaml"), output_dir=str(folder), progress=False, **options)
    with open(folder / "history.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows and all(0 < float(row["consistency"]) < 0.5 for row in rows)

    run(str(method), "evaluate", ckpt_dir=str(folder), split="test", progress=False, **options)
    summary = folder / "test" / "summary.json"
    assert 0 <= json.loads(summary.read_text(encoding="utf-8"))["mean"]["dice"] <= 1

    image = next((data / "images").iterdir())
    run(
        str(method), "inference", checkpoint=str(folder), inputs=str(image), output_dir=str(tmp_path / "out"), **options
    )
    (result,) = (tmp_path / "out").iterdir()
    assert nibabel.load(result).shape == nibabel.load(image).shape

    archive = package(str(method), "demo", str(folder), output=str(tmp_path / "dist"), dirty=True)
    capsys.readouterr()
    try:
        verify(archive)
    except SystemExit:
        pytest.fail("\n".join(line for line in capsys.readouterr().out.splitlines() if "FAILED" in line))
    assert "every check that was run passed" in capsys.readouterr().out


def test_the_test_of_a_new_method_passes(method):
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-c", str(ROOT / "setup.cfg")]
    paths = os.pathsep.join([str(ROOT), str(method)])
    result = subprocess.run(
        [*command, "-p", "no:cacheprovider", "--rootdir", str(method.parent), str(method.parent)],
        capture_output=True, text=True, cwd=method.parent, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert result.returncode == 0 and "5 passed" in result.stdout, result.stdout[-2000:]


@pytest.mark.parametrize(
    ("name", "title", "expected"),
    [
        ("My-Method", None, "expected lower-case letters and digits"),
        ("yaml", None, "a Python package of this name is installed"),
        ("fresh", "two\nlines", "expected a line of text"),
    ],
)
def test_names_that_cannot_be(name, title, expected, tmp_path):
    with pytest.raises(InputError, match=expected):
        new_method(name, str(tmp_path / "mine"), title)
    assert not (tmp_path / "mine").exists()


def test_nothing_that_exists_is_overwritten(method):
    before = {file: file.read_bytes() for file in method.parent.rglob("*") if file.is_file()}
    with pytest.raises(InputError, match="exists already; choose another name"):
        new_method("doubt", str(method.parent))
    assert before == {file: file.read_bytes() for file in method.parent.rglob("*") if file.is_file()}
