"""From a folder to a release in one command, and on from where it was stopped."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.data import Phantom
from common.errors import InputError
from tests.tools import archives
from tools.fit import _next_steps, fit
from tools.plan import plan, timing


@pytest.fixture
def data(tmp_path):
    for patient in range(5):
        image, label = Phantom((32, 32, 16)).sample(patient)
        archives.write(image, tmp_path / "data" / "images" / f"p{patient}.nii.gz")
        if patient < 3:
            archives.write(label, tmp_path / "data" / "labels" / f"p{patient}.nii.gz")
    return tmp_path / "data"


def test_a_folder_becomes_a_release_and_nothing_of_it_is_changed(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(timing, "LIMITS", (4, 4))
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    root = tmp_path / "out"
    target = fit(str(data), str(root), hours=0.01, fold_count=3, device="cpu")
    assert target == str(root / "run") and (root / "run" / "model.pt").is_file()
    state = json.loads((root / "fit.json").read_text(encoding="utf-8"))
    assert state["runs"] == 4 and state["iterations"] == 4 and 0 <= state["dice"] <= 1 and "archive" not in state
    text = capsys.readouterr().out
    assert "4 trainings of 4 iterations" in text and "makes a release" in text and "out of fold: Dice" in text
    assert "so few iterations show that it works, not how well it can: 2,000 take --hours" in text
    infer = next(line for line in text.splitlines() if line.endswith("# segments a folder of images"))
    words = shlex.split(infer, comments=True)
    assert words[words.index("--inputs") + 1] == str(data / "images")
    model = (root / "run" / "model.pt").stat().st_mtime_ns
    archives.write(Phantom((32, 32, 16)).sample(3)[1], data / "labels" / "p3.nii.gz")
    before |= {data / "labels" / "p3.nii.gz": (data / "labels" / "p3.nii.gz").read_bytes()}
    fit(str(data), str(root), hours=0.02, license="CC BY 4.0", classes="organ", device="cpu")
    text = capsys.readouterr().out
    assert "planned for --hours 0.01, which stays; another output_dir plans for 0.02" in text
    assert "planned with 5 images and 3 labels, now there are 5 images and 4 labels" in text
    assert "all is trained" in text and "_v0.1.0.zip: a release" in text
    archive = json.loads((root / "fit.json").read_text(encoding="utf-8"))["archive"]
    assert archive.endswith(".zip") and (root / "run" / "model.pt").stat().st_mtime_ns == model
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before
    with pytest.raises(InputError, match="fit.json: method was meanteacher_segmentation, not ssnet_segmentation"):
        fit(str(data), str(root), method="ssnet_segmentation")


def test_one_process_at_a_time_works_in_a_folder(data, tmp_path):
    root = tmp_path / "out"
    root.mkdir()
    holder = f"import time; from common.runs.lock import FolderLock; lock = FolderLock({str(root)!r}); print()"
    with subprocess.Popen([sys.executable, "-uc", f"{holder}; time.sleep(60)"], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(InputError, match=rf"output_dir: a run in {root} is going on \(process {other.pid} on"):
            fit(str(data), str(root), hours=0.01)
        other.kill()
    assert not (root / "fit.json").exists()


def test_pictures_are_not_offered_to_a_viewer_of_volumes(tmp_path):
    for number in range(5):
        image, label = Phantom((40, 40)).sample(number)
        for folder, values in (("images", 200 * image), ("labels", label)):
            path = tmp_path / "data" / folder / f"p{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            if folder == "images" or number < 3:
                Image.fromarray(np.squeeze(values).clip(0, 255).astype(np.uint8)).save(path)
    root = tmp_path / "out"
    plan(str(tmp_path / "data"), device="cpu", output=str(root))
    assert "# segments a folder" in (text := _next_steps(root, {}, "meanteacher_segmentation")) and "serve" not in text


def test_a_folder_with_all_labels_is_trained_on_them(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(timing, "LIMITS", (4, 4))
    for patient in (3, 4):
        (data / "images" / f"p{patient}.nii.gz").unlink()
    (data / "labels" / "p2.nii.gz").unlink()
    (data / "images" / "p2.nii.gz").unlink()
    target = fit(str(data), str(tmp_path / "out"), hours=0.01, device="cpu")
    assert (Path(target) / "model.pt").is_file()
    text = capsys.readouterr().out
    assert "every image has a label" in text and "2 labeled patients: how well this does on others" in text


def test_wrong_time_is_refused(data, tmp_path):
    with pytest.raises(InputError, match="--hours 0: expected a number of hours above 0"):
        fit(str(data), str(tmp_path / "out"), hours=0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "words"), [("{", "not valid JSON"), ("[]", "expected a mapping from names to values")]
)
def test_a_torn_account_is_told_and_left(data, tmp_path, text, words):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "fit.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=f"fit.json: {words}"):
        fit(str(data), str(tmp_path / "out"), hours=1)
    assert (tmp_path / "out" / "fit.json").read_text(encoding="utf-8") == text
