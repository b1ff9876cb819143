"""The verb and what lies behind it; with MONAI_LABEL_ENVIRONMENT=<folder, built by serve> a real server, too."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from common.data import Phantom, write_phantoms
from common.errors import InputError
from common.networks import VNet
from common.runs import assumed
from tools.label import environment
from tools.label.check import HOSTILE, check_server, contents
from tools.label.process import FailedError
from tools.label.serve import parts, prepare, require_models, require_studies, serve
from tools.label.served import find_models
from tools.label.server import Server, free_port, last_error
from tools.run import BUNDLES

from ..conftest import SMALL

ENVIRONMENT = os.environ.get("MONAI_LABEL_ENVIRONMENT", "")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return write_phantoms(folder, Phantom((24, 24, 16)), labeled=6, unlabeled=2, validation=0, test=0)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """The folder of a run of few steps."""
    folder = tmp_path_factory.mktemp("run") / "lump"
    folder.mkdir()
    sizes = {"patch_size": [16] * 3, "stride": [16] * 3, "test_stride": [16] * 3, "iterations": 40, "epoch_length": 10}
    given = {"dataset_dir": str(data), "num_classes": 2, "normalize": True, **SMALL, **sizes}
    assumed(BUNDLES / "meanteacher_segmentation", (), given).write(folder)
    torch.save(VNet(**SMALL).state_dict(), folder / "model.pt")
    return folder


@pytest.fixture(scope="module")
def base(run, data, tmp_path_factory):
    """What ``serve`` writes before it starts the server."""
    folder = tmp_path_factory.mktemp("served") / "work"
    prepare(folder, data / "images", {"lump": run}, {"lump": "big lump"}, {})
    return folder


def test_a_run_is_served_as_a_release_and_left_alone(base, run, data):
    before = contents(run, data)
    (entry,) = json.loads((base / "serve.json").read_text(encoding="utf-8"))["models"]
    assert (entry["name"], entry["images"], entry["python"]) == ("lump", "*", sys.executable)
    model = find_models(base, [entry])["lump"]
    assert model.labels.classes == {"big lump": 1} and model.rounds.weights()[0] == "released"
    stamp = (base / "model" / "lump" / "release").stat().st_mtime_ns
    prepare(base, data / "images", {"lump": run}, {"lump": "big lump"}, {})
    assert (base / "model" / "lump" / "release").stat().st_mtime_ns == stamp and contents(run, data) == before
    with pytest.raises(
        InputError, match="holds labels and trainings of other weights or classes; give it another name"
    ):
        prepare(base, data / "images", {"lump": run}, {"lump": "other"}, {})


def test_options_are_shown_in_forms_that_viewers_know(base):
    model = next(
        iter(find_models(base, json.loads((base / "serve.json").read_text(encoding="utf-8"))["models"]).values())
    )
    for shown in (model.defaults(), model.defaults(training=True)):
        for value in shown.values():
            assert isinstance(value, (bool, int)) or (value and all(isinstance(choice, str) for choice in value))
    values, unknown = model.checked({"stride_factor": "1.5", "client_id": None, "device": "cpu", "shape": 3})
    assert values["stride_factor"] == 1.5 and values["weights"] == "newest" and unknown == ["shape"]
    assert model.checked({"unlabeled_weight": "0.25", "iterations": 30}, training=True)[0]["unlabeled_weight"] == 0.25
    for given, message in (
        ({"threads": "many"}, "threads many: expected an integer"),
        ({"precision": "float8"}, "precision float8: expected"),
        ({"weights": "../x"}, "weights ../x: expected"),
    ):
        with pytest.raises(InputError, match=message):
            model.checked(given)


def test_a_model_segments_trains_and_is_measured_in_a_process_of_its_own(base, data, tmp_path):
    model = next(
        iter(find_models(base, json.loads((base / "serve.json").read_text(encoding="utf-8"))["models"]).values())
    )
    images = {path.name.removesuffix(".nii.gz"): str(path) for path in sorted((data / "images").iterdir())}
    id, image = next(iter(images.items()))
    options = model.checked({"threads": 1})[0]
    answer = model.segment(id, image, tmp_path / "label.nii.gz", options)
    label, source = nibabel.load(tmp_path / "label.nii.gz"), nibabel.load(image)
    assert label.shape == source.shape and np.allclose(label.affine, source.affine)
    assert label.get_data_dtype() == np.uint8 and nibabel.load(answer["uncertainty"]).shape == source.shape
    assert 0 <= answer["score"] <= 1 and model.known()[id]["score"] == answer["score"]
    with pytest.raises((InputError, FailedError), match=r"absent\.nii\.gz"):
        model.segment("absent", str(tmp_path / "absent.nii.gz"), tmp_path / "label.nii.gz", options)
    model.worker.close()
    labeled = {k: {"image": v, "label": v.replace("images", "labels")} for k, v in list(images.items())[:4]}
    unlabeled = dict(list(images.items())[6:])
    said = []
    training = model.checked({"threads": 1, "iterations": 4, "unlabeled_weight": 0.5}, training=True)[0]
    told = model.train(labeled, unlabeled, training, said.append)
    assert said[0] == "round 0001: 3 labeled, 1 for validation, 2 unlabeled volumes" and "Dice" in said[1]
    assert told["status"] == "done" and 0 <= told["dice"] <= 1 and model.rounds.weights()[0] == "0001"
    assert model.known() == {}  # scores of other weights
    assert model.rounds.progress()["epoch"] == model.rounds.progress()["total_epochs"] == 4
    trained, first = (torch.load(file, weights_only=True) for file in (model.rounds.weights()[1], model.rounds.first))
    assert trained.keys() == first.keys() and any(not torch.equal(trained[k], first[k]) for k in first)
    with pytest.raises(InputError, match="no image has a label of this model yet"):
        model.train({}, unlabeled, training, said.append)


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([], "which models"),
        (["nowhere"], "nowhere: no such run or release"),
        (["{data}"], "neither the folder of a run .* nor a release"),
        (["{run}", "{run}"], r"is called lump too; give another name \(lump_2="),
        (["a/b={run}"], "a/b: no name of a model"),
    ],
)
def test_what_is_no_model_is_refused(models, message, run, data):
    with pytest.raises(InputError, match=message):
        require_models([text.format(run=run, data=data) for text in models])


def test_names_of_models(run, tmp_path):
    release = shutil.copytree(run, tmp_path / "left_atrium_v0.1.3")
    assert list(require_models([str(run), f"b={run}", str(release)])) == ["lump", "b", "left_atrium"]


def test_studies_must_hold_images_and_stay_as_they_are(data, run, tmp_path):
    assert require_studies(str(data / "images")) == data / "images"
    with pytest.raises(InputError, match=r"no image at the top of this folder .*; did you mean .*/images\?"):
        require_studies(str(data))
    with pytest.raises(InputError, match="no such folder"):
        serve(str(run), studies=str(tmp_path / "none"))
    with pytest.raises(InputError, match="lies in the studies, which are read only"):
        prepare(data / "images" / "work", data / "images", {"lump": run}, {}, {})


def test_what_is_said_of_several_models():
    known = {"la": Path(), "acdc": Path()}
    assert parts("la: left atrium; acdc: rv, myo", known) == {"la": "left atrium", "acdc": "rv, myo"}
    assert parts("rv, myo", {"la": Path()}) == {"la": "rv, myo"}
    with pytest.raises(InputError, match="expected <model>: ..., with one of la, acdc"):
        parts("liver: x", known)


def test_a_server_that_does_not_come_up_says_why(base, data, tmp_path):
    """An interpreter without MONAI Label stands for any server that does not come up."""
    server = Server(Path(sys.executable), base, data / "images")
    code = Path(server.settings()["PYTHONPATH"])  # nothing else: packages of another environment would come first
    assert sorted(path.name for path in code.iterdir()) == ["bundles", "common", "tools"]
    with pytest.raises(InputError, match=r"did not start: .*(No module named|Error).*server\.log"), server:
        pass
    with pytest.raises(InputError, match="something listens there already"):
        taken = Server(Path(sys.executable), base, data / "images", port=free_port())
        import socket

        with socket.socket() as other:
            other.bind(("127.0.0.1", taken.port))
            other.listen()
            taken.__enter__()
    assert last_error("x\ncommon.errors.InputError: la: no\nKeyError: 1") == "common.errors.InputError: la: no"


def test_an_environment_that_cannot_be_built_says_why(tmp_path, monkeypatch):
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "__init__.py").touch()
    (tmp_path / "pip" / "__main__.py").write_text(
        "import sys; sys.exit('noise\\nERROR: No matching distribution found')"
    )
    monkeypatch.setattr(environment, "PINS", ("no-such-package-anywhere==9",))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # a pip that fails at once
    with pytest.raises(InputError, match="cannot be built: ERROR: No matching distribution"):
        environment.build_environment(tmp_path / "venv")
    assert not (tmp_path / "venv" / environment.DONE).exists()
    python = tmp_path / "venv" / "bin" / "python"
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [str(python), "-c", "import torch; print(torch.__version__)"]
    answer = subprocess.run(command, capture_output=True, text=True, env=clean)
    assert answer.stdout.strip() == torch.__version__  # linked, not loaded from anywhere


def test_building_tells_what_it_is_at_and_ends_in_time(tmp_path, monkeypatch, capsys):
    """Any program stands for pip that is silent for minutes."""
    monkeypatch.setattr(environment, "TELL_SECONDS", 0.2)
    code = "import time; print('Building wheels for collected packages: a', flush=True)"
    code += "; print('Installing collected packages: numpy, monai', flush=True); time.sleep(1)"
    environment._run([sys.executable, "-c", code], tmp_path)
    assert "s  installing collected packages: numpy" in capsys.readouterr().out
    monkeypatch.setattr(environment, "LIMIT_SECONDS", 0.5)
    with pytest.raises(InputError, match="is not built after"):
        environment._run([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path)


def test_an_environment_is_built_once_per_set_of_pins(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(environment, "_run", lambda command, root: calls.append(command) or [str(tmp_path / "site")])
    monkeypatch.setattr(environment, "link", lambda packages, target: None)
    with pytest.raises(InputError, match="holds other things"):
        (tmp_path / "thesis.txt").touch()
        environment.build_environment(tmp_path)
    root = tmp_path / "venv"
    root.mkdir()
    (root / "pyvenv.cfg").touch()
    python = environment.build_environment(root)
    python.parent.mkdir(parents=True)
    python.touch()
    built = len(calls)
    environment.build_environment(root)
    assert built == len(calls) == 5 and any(environment.SERVER in words for words in calls)
    monkeypatch.setattr(environment, "PINS", ("itk-io==9",))
    environment.build_environment(root)
    assert len(calls) == 2 * built and "itk-io==9" in calls[-3]


def test_torch_is_borrowed_with_all_it_needs():
    found = environment.borrowed()
    assert {"torch", "sympy", "mpmath", "filelock"} <= set(found) and "numpy" not in found


needs_label = pytest.mark.skipif(
    not ENVIRONMENT, reason="no environment with MONAI Label (MONAI_LABEL_ENVIRONMENT=folder, built by serve)"
)


@needs_label
def test_a_real_server_label_train_infer_restart_and_hostile_requests(run, data, tmp_path):
    python = environment.build_environment(ENVIRONMENT)
    studies = tmp_path / "images"
    shutil.copytree(data / "images", studies)
    shutil.copytree(data / "labels", tmp_path / "labels")
    results = check_server(python, studies, {"lump": run, "other": run}, {"lump": "lump", "other": "cyst"}, {}, 4)
    assert (
        results["lump"]["labeled"] == 3 and results["other"]["labeled"] >= 1
    )  # images just given are not offered again
    assert len(results["refused"]) == len(HOSTILE) >= 10


@needs_label
def test_the_client_and_the_stock_app_are_of_the_tested_version():
    command = [f"{ENVIRONMENT}/bin/python", "-c", "import monailabel.client, monailabel; print(monailabel.__version__)"]
    assert subprocess.run(command, capture_output=True, text=True).stdout.split()[-1] == "0.8.5"
