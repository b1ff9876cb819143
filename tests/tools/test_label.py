"""The way of a bundle through MONAI Label; the whole of it where an environment with a server is given."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import torch

from common.errors import InputError
from tools.label import check, environment, label_check
from tools.label.server import LabelServer

ENVIRONMENT = os.environ.get("MONAI_LABEL_ENVIRONMENT", "")
needs_label = pytest.mark.skipif(
    not ENVIRONMENT, reason="no environment with MONAI Label (MONAI_LABEL_ENVIRONMENT=folder, built by label_check)"
)


@needs_label
@pytest.mark.parametrize("bundle", ["meanteacher_segmentation", "dualnet_segmentation"])
def test_serve_infer_label_train_infer(bundle, tmp_path):
    options = {"base_channels": 4, "epoch_length": 5, "iterations": 10}
    label_check(
        bundle, labeled=2, unlabeled=3, test=1, epochs=1, output=str(tmp_path), environment=ENVIRONMENT, **options
    )
    results = json.loads((tmp_path / "label_check.json").read_text(encoding="utf-8"))
    assert (results["labeled"], results["unlabeled"]) == (2, 3)
    assert results["before"].keys() == results["after"].keys() and len(results["after"]) == 1
    weights = torch.load(tmp_path / "monaibundle" / "model" / bundle / "models" / "model.pt", weights_only=True)
    assert any(not torch.equal(weights[name], start) for name, start in torch.load(tmp_path / "random.pt").items())


@needs_label
@pytest.mark.parametrize("bundle", ["synfoc_segmentation", "iere_segmentation"])
def test_a_bundle_of_slices_serves_and_trains_on_volumes(bundle, tmp_path):
    label_check(
        bundle, labeled=2, unlabeled=3, test=1, epochs=2, output=str(tmp_path), environment=ENVIRONMENT,
        base_channels=4, patch_size=[64, 64], intensity_range=None, epoch_length=5, iterations=10,
    )  # fmt: skip
    results = json.loads((tmp_path / "label_check.json").read_text(encoding="utf-8"))
    assert (results["labeled"], results["unlabeled"]) == (2, 3) and len(results["after"]) == 1


@needs_label
def test_without_unlabeled_volumes_training_is_supervised(tmp_path):
    label_check(
        "ssnet_segmentation", labeled=2, unlabeled=0, test=1, epochs=1, output=str(tmp_path),
        environment=ENVIRONMENT, base_channels=4, epoch_length=5, iterations=10,
    )  # fmt: skip
    assert json.loads((tmp_path / "label_check.json").read_text(encoding="utf-8"))["unlabeled"] == 0
    assert "training on the labeled ones alone" in (tmp_path / "server.log").read_text(encoding="utf-8")


class FakeServer:
    """Answers with the label of the case, moved by ``shift`` voxels in the header."""

    def __init__(self, labels, shift=0.0):
        self.labels, self.shift = labels, shift

    def infer(self, image, target):
        source = nibabel.load(self.labels / image.name)
        affine = source.affine.copy()
        affine[0, 3] += self.shift
        target.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(np.asarray(source.dataobj), affine), target)
        return target


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    return check._phantoms(tmp_path_factory.mktemp("phantoms") / "data", labeled=1, unlabeled=1, test=1)


def test_answers_are_measured_against_labels_and_geometry(phantoms, tmp_path):
    cases = check.load_datalist(phantoms, labeled=1, validation=1)["validation"]
    scores = check._measure(FakeServer(phantoms / "labels"), cases, tmp_path / "out", {"object": 1})
    assert scores == {cases[0]["case"]: 1.0}
    with pytest.raises(InputError, match="geometry or type of the answer"):
        check._measure(FakeServer(phantoms / "labels", shift=2), cases, tmp_path / "out", {"object": 1})


def test_too_few_cases_are_refused(phantoms, tmp_path, monkeypatch):
    monkeypatch.setattr(check, "build_environment", lambda folder: sys.executable)
    with pytest.raises(InputError, match="too few cases for 1 labeled, 9 unlabeled"):
        label_check("ssnet_segmentation", data=str(phantoms), labeled=1, unlabeled=9, test=1, output=str(tmp_path))


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(InputError, match="not empty and no earlier check"):
        label_check("ssnet_segmentation", output=str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_environment_that_cannot_be_built_says_why(tmp_path, monkeypatch):
    failed = SimpleNamespace(returncode=1, stderr="noise\nERROR: No matching distribution found\nhint", stdout="")
    monkeypatch.setattr(environment.subprocess, "run", lambda *args, **options: failed)
    with pytest.raises(InputError, match="cannot be built: ERROR: No matching distribution"):
        environment.build_environment(tmp_path / "venv")
    assert not (tmp_path / "venv" / environment.DONE).exists()


def test_an_environment_is_built_once_per_set_of_pins(tmp_path, monkeypatch):
    calls = []
    done = SimpleNamespace(returncode=0, stderr="", stdout="")
    monkeypatch.setattr(environment.subprocess, "run", lambda command, **options: calls.append(command) or done)
    python = environment.build_environment(tmp_path)
    python.parent.mkdir(parents=True)
    python.touch()
    built = len(calls)
    environment.build_environment(tmp_path)
    assert built == len(calls) == 3
    monkeypatch.setattr(environment, "PINS", ("torch==9",))
    environment.build_environment(tmp_path)
    assert len(calls) == 2 * built and "torch==9" in calls[-2]


def test_a_server_that_dies_says_why(tmp_path):
    """An interpreter without MONAI Label stands for any server that does not come up."""
    server = LabelServer(Path(sys.executable), tmp_path, tmp_path, "some_segmentation")
    with pytest.raises(InputError, match=r"did not start: .*(No module named|Error).*server\.log"), server:
        pass
