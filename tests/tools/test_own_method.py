"""A new method is one folder: written here, it trains, plans, evaluates, infers, packages and verifies as any other."""

import csv
import json
import shutil
import sys

import nibabel
import pytest
import yaml

from common.data import Phantom, write_phantoms
from common.errors import InputError
from tools.package import package
from tools.plan import plan
from tools.release.readme import SECTIONS
from tools.run import BUNDLES, run
from tools.verify import verify

NAME = "doubt_segmentation"
OBJECTIVE = '''"""Doubt: unlabeled voxels shall be assigned with confidence."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from common.engines import Objective
from common.transforms import Batch


def doubt(logits: Tensor) -> Tensor:
    """Mean over the voxels of what is missing of the largest probability to 1; logits ``B, K, ...``."""
    return 1 - logits.float().softmax(dim=1).amax(dim=1).mean()


class DoubtObjective(Objective):
    """Supervised loss, and doubt of the unlabeled samples."""

    TERMS = ("supervised", "doubt")

    def __init__(self, network: nn.Module, supervised: nn.Module, weights: Mapping | None = None) -> None:
        super().__init__(weights)
        self.network, self.supervised = network, supervised

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        n, logits = batch.labeled, self.network(batch.image)
        terms = {"supervised": self.supervised(logits[:n], batch.label)}
        return terms | ({"doubt": doubt(logits[n:])} if len(logits) > n else {})
'''
OPTIONS = '''"""Options of Doubt alone."""

from common.options.types import Number, Option

PATCH_MULTIPLE = 16
OPTIONS = (Option("doubt_weight", Number(0, 1), "of doubt after ramp-up"),)
'''
PLAN = "passes: 1\nramp_up: 0.5\ncpu: {base_channels: 4}\n"
DEMO = """dataset_dir: data/phantom
patch_size: [48, 48, 16]
stride: [24, 24, 8]
test_stride: [24, 24, 8]
base_channels: 4
iterations: 200
epoch_length: 20
ramp_up: 80
"""
COPIED = (
    *("LICENSE", "docs/data_license.txt", "configs/logging.conf", "configs/inference.yaml"),
    "configs/multi_gpu_train.yaml",
)
OF_MEAN_TEACHER = (
    *("consistency", "target", "mixup_alpha", "consistency_weight", "ema_decay", "ema_buffers", "teacher_train_mode"),
    *("uncertainty", "deployed", "teacher"),
)


def training(content):
    """Mean Teacher's train.yaml without its teacher, and with the objective above."""
    ramp = {"_target_": "common.losses.Ramp", "maximum": "@doubt_weight", "length": "$round(@ramp_up * @stretch)"}
    content["doubt_weight"] = 0.1
    content["objective"] = {
        "_target_": "doubt.DoubtObjective",
        "_requires_": "@add_path",
        "network": "@network",
        "supervised": content["objective"]["supervised"],
        "weights": {"doubt": ramp},
    }
    for name in OF_MEAN_TEACHER:
        del content[name]
    train = content["train"]
    train["handlers"] = [part for part in train["handlers"] if not part["_target_"].endswith("EMAHandler")]
    train["unlabeled_dataset"]["cases"] = "$@datalist['unlabeled']"
    train["dataloader"]["unlabeled_batch"] = "@unlabeled_batch"
    text = yaml.safe_dump(content, sort_keys=False, width=1000)
    return text.replace("@deployed", "@network").replace("/meanteacher'", "/doubt'")


@pytest.fixture
def method(tmp_path, monkeypatch):
    """The folder of the new method; its package is forgotten afterwards."""
    source, folder = BUNDLES / "meanteacher_segmentation", tmp_path / "mine" / NAME
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, folder / name)
    (folder / "doubt").mkdir()
    (folder / "doubt" / "objective.py").write_text(OBJECTIVE, encoding="utf-8")
    (folder / "doubt" / "__init__.py").write_text("from .objective import DoubtObjective\n", encoding="utf-8")
    (folder / "doubt" / "options.py").write_text(OPTIONS, encoding="utf-8")
    content = yaml.safe_load((source / "configs" / "train.yaml").read_text(encoding="utf-8"))
    (folder / "configs" / "train.yaml").write_text(training(content), encoding="utf-8")
    (folder / "configs" / "demo.yaml").write_text(DEMO, encoding="utf-8")
    (folder / "plan.yaml").write_text(PLAN, encoding="utf-8")
    metadata = json.loads((source / "configs" / "metadata.json").read_text(encoding="utf-8"))
    metadata |= {"name": "Doubt", "description": "Segmentation that shall be sure of unlabeled voxels"}
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    readme = "".join(f"## {title}\n\nSee the code.\n\n" for title in SECTIONS)
    (folder / "docs" / "README.md").write_text(readme, encoding="utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "doubt"]:
        del sys.modules[name]


def test_a_folder_is_a_method(method, tmp_path, capsys):
    data = write_phantoms(tmp_path / "data", Phantom((24, 24, 32)), labeled=2, unlabeled=2, validation=1, test=1)
    plan(str(data), method=str(method), device="cpu", memory=16.0, iterations=4)
    planned = yaml.safe_load((data / "plan.yaml").read_text(encoding="utf-8"))
    assert (planned["ramp_up"], planned["base_channels"]) == (2, 4)

    with pytest.raises(InputError, match="doubt_weight 2: expected .* 0 to 1"):
        run(str(method), str(data / "plan.yaml"), doubt_weight=2)

    folder, options = tmp_path / "run", {"device": "cpu", "amp": False}
    run(str(method), str(data / "plan.yaml"), output_dir=str(folder), progress=False, **options)
    with open(folder / "history.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows and all(0 < float(row["doubt"]) < 0.5 for row in rows)

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
