"""Every bundle: train, evaluate and infer on a phantom; every override file takes training steps."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow
from PIL import Image

from common.errors import find_explained
from common.networks import VNet

from .conftest import BUNDLES, base_layers, dims, tiny

NAMES = sorted(path.name for path in BUNDLES.iterdir() if (path / "configs").is_dir())
BASE = {"train", "inference", "multi_gpu_train", "metadata"}
LAYERS = [(name, path.stem) for name in NAMES for path in sorted((BUNDLES / name / "configs").glob("*.yaml"))]
OVERRIDES = [(name, layer) for name, layer in LAYERS if layer not in BASE]
VOLUMES = [name for name in NAMES if dims(name) == 3]
PICTURES = [name for name in NAMES if dims(name) == 2]
SMALL = {"base_channels": 4}
REAL = {"base_channels": 16}  # a width that real runs have, which decides what paths convolutions take


@pytest.mark.parametrize("name", PICTURES)
def test_train_evaluate_infer_on_pictures(name, phantoms_2d, run_tiny, tmp_path):
    data = {"dataset_dir": str(phantoms_2d), "labeled": 2}
    run_tiny(name, **data, **REAL)
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    assert (tmp_path / "model_best.pt").is_file()

    run_tiny(name, "evaluate", split="test")
    summary = json.loads((tmp_path / "test" / "summary.json").read_text(encoding="utf-8"))
    assert set(summary["domains"]) == {"site_0", "site_1"}
    assert summary["cases"] == sum(domain["cases"] for domain in summary["domains"].values()) >= 2

    images = phantoms_2d / "site_0" / "images"
    run_tiny(name, "inference", inputs=str(images), output_dir=str(tmp_path / "out"), checkpoint=str(tmp_path))
    for image in images.iterdir():
        source, result = (np.asarray(Image.open(folder / image.name)) for folder in (images, tmp_path / "out"))
        assert result.shape == source.shape and result.dtype == np.uint8 and set(np.unique(result)) <= {0, 1}


@pytest.mark.parametrize("name", VOLUMES)
def test_train_evaluate_infer(name, phantoms_3d, run_tiny, tmp_path):
    data = {"dataset_dir": str(phantoms_3d), "spacing": [1.25] * 3}
    run_tiny(name, **data, **REAL)
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    assert (tmp_path / "model_best.pt").is_file()

    run_tiny(name, "evaluate", split="test", largest_component=True)
    summary = json.loads((tmp_path / "test" / "summary.json").read_text(encoding="utf-8"))
    assert summary["cases"] == 1 and 0 <= summary["mean"]["dice"] <= 1

    image = next((phantoms_3d / "images").glob("*.nii.gz"))
    out = tmp_path / "predictions"
    run_tiny(name, "inference", inputs=[str(image)], output_dir=str(out), checkpoint=str(tmp_path / "model.pt"))
    source, result = nibabel.load(image), nibabel.load(out / image.name)
    assert result.shape == source.shape and result.get_data_dtype() == np.uint8
    np.testing.assert_allclose(result.affine, source.affine, atol=1e-6)


@pytest.mark.parametrize(("name", "layer"), OVERRIDES)
def test_every_override_file_takes_training_steps(
    name, layer, phantoms_of, phantoms_3d, phantoms_multiclass, run_tiny, tmp_path
):
    layers = [layer]
    if dims(name) == 2:
        text = (BUNDLES / name / "configs" / f"{layer}.yaml").read_text(encoding="utf-8")
        if "layout" in text and layer != "demo":
            pytest.skip("the data set has a layout of its own: see the tests of the bundle")
        options = {"sam#kind": "none"} if "litemedsam" in text else {}
        run_tiny(name, layer, dataset_dir=str(phantoms_of(name)), labeled=2, **SMALL, **options)
        return check_history(tmp_path)
    if layer == "acdc_quick" or layer.endswith("_2d"):
        layers = ["acdc", layer]
    flat = "acdc" in layers
    options = {
        "dataset_dir": str(phantoms_multiclass if flat else phantoms_3d),
        "labeled": 2,
        "validation": None,
        **SMALL,
    }
    if flat:
        options |= {"patch_size": [32, 32], "group": None}
    run_tiny(name, *layers, **options)
    check_history(tmp_path)


def check_history(folder):
    with open(folder / "history.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 and all(np.isfinite(float(row["loss"])) for row in rows)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("file", "kind"), [("train", "train"), ("inference", "infer")])
def test_bundle_properties_are_complete(name, file, kind, phantoms_of):
    configs = BUNDLES / name / "configs"
    folder = phantoms_of(name) / "site_0" if kind == "infer" and dims(name) == 2 else phantoms_of(name)
    workflow = ConfigWorkflow(
        config_file=[str(configs / f"{layer}.yaml") for layer in (file, *base_layers(name))],
        meta_file=str(configs / "metadata.json"),
        logging_file=False,
        workflow_type=kind,
        bundle_root=str(BUNDLES / name),
        dataset_dir=str(folder),
        device="cpu",
    )
    workflow.initialize()
    assert workflow.check_properties() == []


@pytest.mark.parametrize("name", NAMES)
def test_runs_from_another_directory(name, phantoms_of, tmp_path):
    options = {**tiny(name), **SMALL, "iterations": 1, "val_interval": 5, "dataset_dir": str(phantoms_of(name))}
    options |= {"bundle_root": str(BUNDLES / name), "output_dir": str(tmp_path), "ckpt_dir": str(tmp_path)}
    files = [str(BUNDLES / name / "configs" / f"{layer}.yaml") for layer in ("train", *base_layers(name))]
    result = bundle_run(tmp_path, str(files), options | {"amp": "auto"})
    assert result.returncode == 0, result.stderr[-2000:]
    assert (tmp_path / "model.pt").is_file()
    assert result.stdout.count("precision on cpu: ") == 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("amp", ["auto", "float16"])
def test_every_method_trains_in_either_type_of_16_bits(name, amp, phantoms_of, run_tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("common.precision.bfloat16_speedup", lambda: 3.0)
    run_tiny(name, dataset_dir=str(phantoms_of(name)), labeled=2, **SMALL, amp=amp)
    check_history(tmp_path)
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    assert all(torch.isfinite(value).all() for value in state.values())


def bundle_run(folder: Path, config: Path | str, options: dict) -> subprocess.CompletedProcess:
    """``python -m monai.bundle run`` in ``folder``, with the repository importable only as an installed package is."""
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(config), *words]
    environment = {**os.environ, "PYTHONPATH": str(BUNDLES.parent), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


MISTAKES = [
    ({"iteratons": 10}, "--iteratons: no such option in the configuration; did you mean 'iterations'?"),
    ({"lds#epsilon_": 1, "optimiser#lr": 1}, "no such option in the configuration"),
    ({"dataset_dir": "nowhere"}, "--dataset_dir nowhere: no such folder"),
    ({"labeled": 99}, "labeled=99: expected a number between 0 and"),
    ({"labeled": 0}, "--labeled 0: expected an integer of at least 1, or null"),
    ({"iterations": 3, "epoch_length": 2}, "iterations=3 must be a positive multiple of epoch_length=2"),
    ({"num_classes": 1}, "--num_classes 1: expected an integer from 2 to 255"),
]


@pytest.mark.parametrize(("options", "message"), MISTAKES, ids=[" ".join(options) for options, _ in MISTAKES])
def test_a_mistake_names_itself_before_anything_is_written(options, message, phantoms_3d, run_tiny, tmp_path):
    with pytest.raises(Exception) as caught:
        run_tiny("meanteacher_segmentation", **{"dataset_dir": str(phantoms_3d), **SMALL, **options})
    assert message in str(find_explained(caught.value))
    assert [path.name for path in tmp_path.iterdir()] in ([], [".lock"])  # held until this process ends


def test_an_empty_evaluation_is_refused(phantoms_multiclass, run_tiny, tmp_path):
    torch.save(VNet(1, 2, 4).state_dict(), tmp_path / "model.pt")
    with pytest.raises(Exception) as caught:
        run_tiny("meanteacher_segmentation", "evaluate", dataset_dir=str(phantoms_multiclass), **SMALL, split="test")
    assert "the list 'test' of the data set is empty" in str(find_explained(caught.value))
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


def test_bfloat16_is_refused_where_its_gradients_are_wrong(phantoms_3d, run_tiny, tmp_path):
    with pytest.raises(Exception) as caught:
        run_tiny("meanteacher_segmentation", dataset_dir=str(phantoms_3d), **SMALL, amp=True)
    assert "bfloat16 gradients are wrong on a CPU" in str(find_explained(caught.value))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "options", "message"),
    [
        ("train", {"iteratons": 1}, "error: --iteratons: no such option in the configuration"),
        (
            "train",
            {"bundle_root": "."},
            "error: ./ssnet: no such folder; give the folder of the bundle as --bundle_root",
        ),
        ("inference", {"checkpoint": "none.pt"}, "error: none.pt: no such file; inference needs trained weights"),
    ],
)
def test_a_mistake_is_one_line_on_the_terminal(file, options, message, phantoms_3d, tmp_path):
    root = BUNDLES / "ssnet_segmentation"
    options = {
        "bundle_root": str(root),
        "dataset_dir": str(phantoms_3d),
        "output_dir": str(tmp_path / "out"),
        **options,
    }
    result = bundle_run(tmp_path, root / "configs" / f"{file}.yaml", options)
    assert result.returncode == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and errors[0].startswith(message)
    assert "Traceback" not in result.stderr and not (tmp_path / "out").exists()
