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

from common.errors import find_explained

from .conftest import BUNDLES, TINY

NAMES = sorted(path.name for path in BUNDLES.iterdir() if (path / "configs").is_dir())
BASE = {"train", "inference", "evaluate", "multi_gpu_train", "metadata"}
LAYERS = [(name, path.stem) for name in NAMES for path in sorted((BUNDLES / name / "configs").glob("*.yaml"))]
OVERRIDES = [(name, layer) for name, layer in LAYERS if layer not in BASE]
SMALL = {"base_channels": 4}


@pytest.mark.parametrize("name", NAMES)
def test_train_evaluate_infer(name, phantoms_3d, run_tiny, tmp_path):
    data = {"dataset_dir": str(phantoms_3d), "spacing": [1.25] * 3}
    run_tiny(name, **data, **SMALL)
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    assert (tmp_path / "model_best.pt").is_file()

    run_tiny(name, "evaluate", **data, **SMALL, split="test", largest_component=True)
    summary = json.loads((tmp_path / "test" / "summary.json").read_text())
    assert summary["cases"] == 1 and 0 <= summary["mean"]["dice"] <= 1

    image = next((phantoms_3d / "images").glob("*.nii.gz"))
    out = tmp_path / "predictions"
    run_tiny(
        name, "inference", inputs=[str(image)], output_dir=str(out), checkpoint=str(tmp_path / "model.pt"), amp=False,
        device="cpu", patch_size=[16, 16, 16], stride=[16, 16, 16], spacing=[2.0, 2.0, 2.0], **SMALL,
    )  # fmt: skip
    source, result = nibabel.load(image), nibabel.load(out / image.name)
    assert result.shape == source.shape and result.get_data_dtype() == np.uint8
    np.testing.assert_allclose(result.affine, source.affine, atol=1e-6)


@pytest.mark.parametrize(("name", "layer"), OVERRIDES)
def test_every_override_file_takes_training_steps(name, layer, phantoms_3d, phantoms_multiclass, run_tiny, tmp_path):
    layers = [layer]
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
    with open(tmp_path / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 and all(np.isfinite(float(row["loss"])) for row in rows)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("file", "kind"), [("train", "train"), ("inference", "infer")])
def test_bundle_properties_are_complete(name, file, kind, phantoms_3d):
    configs = BUNDLES / name / "configs"
    workflow = ConfigWorkflow(
        config_file=str(configs / f"{file}.yaml"),
        meta_file=str(configs / "metadata.json"),
        logging_file=False,
        workflow_type=kind,
        bundle_root=str(BUNDLES / name),
        dataset_dir=str(phantoms_3d),
        device="cpu",
    )
    workflow.initialize()
    assert workflow.check_properties() == []


@pytest.mark.parametrize("name", NAMES)
def test_runs_from_another_directory(name, phantoms_3d, tmp_path):
    options = {**TINY, **SMALL, "iterations": 1, "val_interval": 5, "dataset_dir": str(phantoms_3d)}
    options |= {"bundle_root": str(BUNDLES / name), "output_dir": str(tmp_path), "ckpt_dir": str(tmp_path)}
    result = bundle_run(tmp_path, BUNDLES / name / "configs" / "train.yaml", options)
    assert result.returncode == 0, result.stderr[-2000:]
    assert (tmp_path / "model.pt").is_file()


def bundle_run(folder: Path, config: Path | str, options: dict) -> subprocess.CompletedProcess:
    """``python -m monai.bundle run`` in ``folder``, with the repository importable only as an installed package is."""
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(config), *words]
    environment = {**os.environ, "PYTHONPATH": str(BUNDLES.parent), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


MISTAKES = [
    ({"iteratons": 10}, "--iteratons: no such option in the configuration; did you mean 'iterations'?"),
    ({"lds#epsilon_": 1, "optimiser#lr": 1}, "no such option in the configuration"),
    ({"dataset_dir": "nowhere"}, "nowhere: no such data folder"),
    ({"labeled": 99}, "labeled=99: expected a number between 0 and"),
    ({"labeled": 0}, "the labeled list is empty"),
    ({"iterations": 3, "epoch_length": 2}, "iterations=3 must be a positive multiple of epoch_length=2"),
    ({"num_classes": 1}, "outside the classes 0..0"),
]


@pytest.mark.parametrize(("options", "message"), MISTAKES, ids=[" ".join(options) for options, _ in MISTAKES])
def test_a_mistake_names_itself_before_anything_is_written(options, message, phantoms_3d, run_tiny, tmp_path):
    with pytest.raises(Exception) as caught:
        run_tiny("meanteacher_segmentation", **{"dataset_dir": str(phantoms_3d), **SMALL, **options})
    assert message in str(find_explained(caught.value))
    assert list(tmp_path.iterdir()) == []


def test_an_empty_evaluation_is_refused(phantoms_multiclass, run_tiny, tmp_path):
    (tmp_path / "model.pt").touch()
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
