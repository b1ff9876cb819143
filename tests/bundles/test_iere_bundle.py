"""IERE: training in both stages, evaluation, inference and mistakes of the bundle."""

import csv
import json
import os
import subprocess
import sys

import pytest
import torch
from iere import ResNetUNet
from monai.bundle import ConfigParser

from common.data import Phantom, write_phantoms
from common.errors import find_explained
from common.sam.testing import write_tiny_checkpoint
from tools.draw import draw

from .conftest import BUNDLES


@pytest.fixture(scope="module")
def two_groups(tmp_path_factory):
    """Volumes of four classes named like ACDC cases of the groups NOR and RV."""
    folder = tmp_path_factory.mktemp("groups")
    write_phantoms(folder, Phantom(size=(40, 32, 16), classes=4), labeled=8, unlabeled=0, validation=0, test=0)
    names = {f"phantom_{n:03d}": f"patient{61 + n if n < 6 else 75 + n:03d}_frame01" for n in range(8)}
    for path in folder.glob("*/*.nii.gz"):
        path.rename(path.with_name(path.name.replace(path.name[:11], names[path.name[:11]])))
    (folder / "splits.json").write_text(json.dumps({"train": list(names.values())}), encoding="utf-8")
    return folder


@pytest.mark.parametrize(("patch", "window", "image"), [(224, 224, 256), (112, 128, 160), (96, 96, 96), (20, 32, 32)])
def test_training_and_inference_see_sizes_that_the_network_does_not_pad(patch, window, image):
    root = BUNDLES / "iere_segmentation"
    for name in ("train", "inference"):
        config = ConfigParser(ConfigParser.load_config_file(root / "configs" / f"{name}.yaml"))
        config.update({"bundle_root": str(root), "patch_size": [patch, patch]})
        assert config.get_parsed_content("sizes") == {"input": [window, window], "image": [image, image]}
        assert list(config.get_parsed_content("inferer").size) == [image, image]


def test_one_group_of_patients_trains_and_all_are_tested(two_groups, run_tiny, tmp_path):
    draw(str(two_groups), "acdc_groups", draws=1, development=1)
    options = {"labeled": 2, "base_channels": 4, "sam#kind": "none", "pretrain#steps": 1}
    run_tiny("iere_segmentation", "acdc_groups", "acdc_quick", dataset_dir=str(two_groups), **options)
    run_tiny("iere_segmentation", "evaluate", split="test")
    summary = json.loads((tmp_path / "test" / "summary.json").read_text(encoding="utf-8"))
    assert set(summary["domains"]) == {"NOR", "RV"} and summary["domains"]["RV"]["cases"] == 1


def with_sam(folder, **options):
    """Options of a tiny run with a tiny SAM."""
    write_tiny_checkpoint(folder / "sam.pt", img_size=32)
    sam = {"kind": "tiny", "img_size": 32, "checkpoint": str(folder / "sam.pt"), **options}
    return {**{f"sam#{name}": value for name, value in sam.items()}, "labeled": 2, "base_channels": 4}


@pytest.mark.parametrize("options", [{}, {"finetune": "joint", "cache": "off"}, {"finetune": "none", "cache": "disk"}])
def test_both_stages_run_with_sam_in_one_run_or_two(options, phantoms_2d, run_tiny, tmp_path):
    options = {**with_sam(tmp_path, **options), "dataset_dir": str(phantoms_2d)}
    run_tiny("iere_segmentation", **options, **{"pretrain#steps": 1})
    rows = list(csv.DictReader((tmp_path / "history.csv").read_text(encoding="utf-8").splitlines()))
    assert bool(rows[0].get("sam")) == (options.get("sam#finetune") != "none") and not rows[0]["er"]
    assert bool(rows[1].get("sam")) == (options.get("sam#finetune") == "joint") and float(rows[1]["er"]) > 0
    state = torch.load(tmp_path / "pretrained.pt", weights_only=True)
    learned = [name for name in state if "mask_decoder" in name]
    assert bool(learned) == (options.get("sam#finetune") != "none")
    assert not any("pos_embed" in name for name in state)
    assert not any(name.startswith(("sam", "teacher")) for name in torch.load(tmp_path / "model.pt"))

    earlier = {"pretrained": str(tmp_path / "pretrained.pt"), "output_dir": str(tmp_path / "second")}
    run_tiny("iere_segmentation", **options, **earlier, **{"pretrain#steps": 0})
    rows = list(csv.DictReader((tmp_path / "second" / "history.csv").read_text(encoding="utf-8").splitlines()))
    assert float(rows[0]["er"]) > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sam#checkpoint": "none.pth"}, "--sam#checkpoint none.pth: no such file"),
        ({"sam#img_size": 40}, "img_size=40: the SAM tiny needs a positive multiple of 16 per side"),
        ({"sam#finetune": "joint"}, "sam.cache=ram: sam.finetune=joint changes the encoder"),
        ({"sam#convention": "sam"}, "the convention 'sam' expects 0 to 255"),
        ({"pretrained": "none.pt"}, "--pretrained none.pt: no such file"),
        ({"init": "none.pt"}, "--init none.pt: no such file"),
        ({"source": "site_7"}, "labeled_domain='site_7': expected one of site_0, site_1"),
        ({"targets": ["site_7"]}, "site_7 is none of the domains"),
        ({"unlabeled_batch": 4}, "--unlabeled_batch 4: expected as many as labeled_batch, 2, or 0"),
    ],
)
def test_a_mistake_names_itself(options, message, phantoms_2d, run_tiny, tmp_path):
    (tmp_path / "in").mkdir()
    settings = {**with_sam(tmp_path / "in"), "dataset_dir": str(phantoms_2d), "pretrain#steps": 1, **options}
    with pytest.raises(Exception) as caught:
        run_tiny("iere_segmentation", **settings)
    assert message in str(find_explained(caught.value))
    assert {path.name for path in tmp_path.iterdir()} in ({"in"}, {"in", ".lock"})  # held until this process ends
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["sam.pt"]


def test_inference_loads_trunk_and_student_head_and_no_sam(phantoms_2d, tmp_path):
    network = ResNetUNet(1, 2, "resnet18", base_channels=4)
    torch.save(network.state_dict(), tmp_path / "model.pt")
    root = BUNDLES / "iere_segmentation"
    code = (
        "import sys; from monai.bundle import run; run(config_file=sys.argv[1], inputs=sys.argv[2], checkpoint="
        "sys.argv[3], output_dir=sys.argv[4], bundle_root=sys.argv[5], backbone='resnet18', base_channels=4, "
        "patch_size=[32, 32], device='cpu')"
        "; assert not [m for m in sys.modules if m.startswith(('common.sam', 'iere.sam'))]"
    )
    config, images = root / "configs" / "inference.yaml", phantoms_2d / "site_0" / "images"
    paths = [config, images, tmp_path / "model.pt", tmp_path / "out", root]
    environment = {**os.environ, "PYTHONPATH": str(BUNDLES.parent), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, paths)], env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert len(list((tmp_path / "out").glob("*.png"))) == 6
