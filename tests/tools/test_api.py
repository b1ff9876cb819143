"""The Python interface: what it gives is what the verbs give."""

import json
import logging

import nibabel
import numpy as np
import pytest
from PIL import Image

from common.errors import InputError
from tools.api import Model, Plan, score
from tools.phantom import phantom
from tools.run import run

CPU = {"device": "cpu", "amp": False}


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("volumes")
    phantom(str(folder / "data"), size=(24, 24, 20), labeled=2, unlabeled=2, validation=1, test=1)
    plan = Plan.of(folder / "data", iterations=4, device="cpu", memory=16.0)
    assert Plan(plan.path).method == "meanteacher_segmentation"
    assert plan.options["iterations"] == 4 and plan.path == str(folder / "data" / "plan.yaml")
    return plan, plan.train(folder / "run", progress=False, **CPU), sorted((folder / "data" / "images").iterdir())[0]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    phantom(str(folder / "data"), size=(40, 32), labeled=2, unlabeled=2, validation=1, test=1)
    for file in sorted((folder / "data").glob("*/*.nii.gz")):
        values = np.asarray(nibabel.load(file).dataobj).squeeze()
        gray = values if "labels" in file.parts else np.clip(values * 60 + 120, 0, 255)
        Image.fromarray(gray.astype(np.uint8).T.copy()).save(file.parent / f"{file.name[:-7]}.png")
        file.unlink()
    plan = Plan.of(folder / "data", iterations=2, device="cpu", memory=16.0)
    model = plan.train(folder / "run", progress=False, **CPU)
    return model, sorted((folder / "data" / "images").glob("*.png"))[0]


def test_an_array_and_its_file_are_segmented_as_the_command_line_does(volumes, tmp_path):
    plan, model, file = volumes
    assert model.settings["iterations"] == 4
    stored = nibabel.load(file)
    level = logging.root.manager.disable
    result = model.predict(np.asarray(stored.dataobj), affine=stored.affine, probabilities=True, **CPU)
    assert logging.root.manager.disable == level
    run(plan.method, "inference", checkpoint=str(model.run.weights), inputs=str(file), output_dir=str(tmp_path), **CPU)
    written = nibabel.load(tmp_path / file.name)
    assert np.array_equal(result.labels, np.asarray(written.dataobj)) and result.labels.shape == stored.shape
    assert np.allclose(result.affine, stored.affine)
    assert result.probabilities.shape == (*stored.shape, 2) and result.uncertainty is None
    assert np.array_equal(result.probabilities.argmax(-1), result.labels)
    assert np.array_equal(Model(model.run.weights.parent).predict(file, **CPU).labels, result.labels)
    turned = model.predict(np.asarray(stored.dataobj), spacing=(1, 1, 3), uncertainty="entropy", **CPU)
    assert np.allclose(turned.affine, np.diag([1, 1, 3, 1])) and turned.uncertainty.max() > 0


def test_a_picture_keeps_its_rows_and_columns(pictures):
    model, file = pictures
    with Image.open(file) as stored:
        values = np.array(stored)
    result = model.predict(values, probabilities=True, uncertainty="entropy", **CPU)
    assert values.shape == result.labels.shape == result.uncertainty.shape == (32, 40) and result.affine is None
    assert result.probabilities.shape == (32, 40, 2)
    assert np.array_equal(result.probabilities.argmax(-1), result.labels)
    assert np.array_equal(model.predict(file, **CPU).labels, result.labels)


def test_files_come_back_in_the_order_of_the_images(volumes, tmp_path):
    _, model, file = volumes
    others = sorted(file.parent.iterdir())
    written = model.predict_files([others[1], others[0]], tmp_path / "out", **CPU)
    assert [path.name for path in written] == [others[1].name, others[0].name]
    with pytest.raises(InputError, match="holds phantom.* already"):
        model.predict_files(others[1], tmp_path / "out", **CPU)


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (np.zeros((8, 8, 8)), {}, "expected either the spacing of its voxels in mm or their affine"),
        (np.zeros((8, 8, 8)), {"spacing": (1, 1)}, r"spacing \(1, 1\): expected three lengths"),
        (np.zeros((8, 8, 8)), {"spacing": (1, 1, 0)}, "expected three lengths in mm above 0"),
        (np.zeros((8, 8, 8)), {"affine": np.zeros((4, 4))}, "affine: expected an invertible matrix"),
        (np.zeros((8, 8, 8, 2)), {"spacing": (1, 1, 1)}, "the model takes x, y, z, or rows and columns"),
        (np.full((8, 8, 8), np.nan), {"spacing": (1, 1, 1)}, "the array: .*NaN"),
        (np.zeros((8, 8)), {}, "a picture of float64; expected uint8"),
        (np.zeros((8, 8), np.uint8), {"spacing": (1, 1)}, "a picture has no geometry"),
        ("nothing.nii.gz", {}, "nothing.nii.gz: no such image or folder"),
        ("nothing.nii.gz", {"spacing": (1, 1, 1)}, "a file has its own geometry"),
        (np.ones((8, 8, 8)), {"spacing": (1, 1, 1), "patch_size": [16, 16]}, "was trained with patch_size"),
        (np.ones((8, 8, 8)), {"spacing": (1, 1, 1), "patchsize": 3}, "--patchsize: no such option"),
    ],
)
def test_wrong_use_of_predict_is_one_line(volumes, image, options, message):
    with pytest.raises(InputError, match=message) as raised:
        volumes[1].predict(image, **options)
    assert "\n" not in str(raised.value)


def test_predict_takes_one_image(volumes):
    with pytest.raises(InputError, match="6 images; predict takes one, predict_files a folder of them"):
        volumes[1].predict(volumes[2].parent, **CPU)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.yaml",), "none.yaml: no such file; expected the plan.yaml"),
        (("{plan}", "nothing"), "nothing: no such bundle"),
        (("{wrong}",), "does not say for which method it was planned"),
        (("{wrong}", "meanteacher_segmentation"), "iterations -3: expected"),
    ],
)
def test_a_wrong_plan_is_refused_before_any_work(volumes, tmp_path, arguments, message):
    (tmp_path / "wrong.yaml").write_text("iterations: -3\n", encoding="utf-8")
    names = {"plan": volumes[0].path, "wrong": str(tmp_path / "wrong.yaml")}
    with pytest.raises(InputError, match=message):
        Plan(*(text.format(**names) for text in arguments))
    with pytest.raises(InputError, match="no run: expected a folder that training wrote|no such"):
        Model(tmp_path)


def test_scores_of_arrays_are_those_of_their_files(tmp_path):
    label = np.zeros((12, 12, 6), np.uint8)
    label[2:8, 2:8, 1:5], label[8:11, 8:11, 1:5] = 1, 2
    made = np.roll(label, 1, axis=0)
    affine = np.diag([0.5, 0.5, 2, 1])
    for name, values in (("made", made), ("labels", label)):
        (tmp_path / name).mkdir()
        nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / name / "a.nii.gz")
    of_files = score(tmp_path / "made", tmp_path / "labels", tolerance=0.4)
    of_arrays = score(made, label, spacing=(0.5, 0.5, 2), tolerance=0.4)
    assert of_arrays["classes"] == of_files["classes"] and of_arrays["dice"] == of_files["dice"] < 1
    assert json.loads((tmp_path / "made" / "scores.json").read_text(encoding="utf-8"))["dice"] == of_arrays["dice"]
    assert list(score(made, label, classes=2)["classes"]) == ["2"]
    for arguments, message in (
        ((made, str(tmp_path)), "an array and a folder"),
        ((made[1:], label), "11 x 12 x 6 voxels, and labels 12 x 12 x 6"),
        ((made, label, (1, 1)), "expected 3 lengths"),
        ((made * 0, label * 0), "no foreground"),
        ((tmp_path, tmp_path, (1, 1, 1)), "files have their own spacing"),
    ):
        with pytest.raises(InputError, match=message):
            score(*arguments)
