"""Under the layer ``fair`` bundles differ by their method alone."""

import re

import pytest
import yaml

from common.losses import SupervisedLoss
from common.options.table import SHARED as OPTIONS
from tools.run import SHARED, bundle_folder, configuration, layer_files

from .conftest import BUNDLES

ROOT = BUNDLES.parent  # any folder: no data is read
NAMES = sorted(path.parents[1].name for path in BUNDLES.glob("*/configs/fair.yaml"))
OF_A_METHOD = {
    "ramp_up",
    "ema_decay",
    "ema_buffers",
    "teacher_train_mode",
    "supervised_loss",
    "ramp_quantum",
    "lr_step",
}
MAY_LACK = {"norm", "pooling"}  # DualNet's networks have batch norm, and halve all axes
SETTINGS = {option.name for option in OPTIONS if option.base in ("", "train")} - OF_A_METHOD


def resolved(name, data):
    config = configuration(name, [*data, "fair"], {"output_dir": "runs/x", "labeled": 4, "dataset_dir": str(ROOT)})
    parser = config.workflow().parser
    return {id: parser[id] for id in SETTINGS & set(parser.get())}, parser


@pytest.mark.parametrize("data", [["la_quick"], ["acdc", "acdc_quick"]])
def test_shared_settings_are_equal_in_all_bundles(data):
    assert len(NAMES) > 4
    (first, _), *others = [resolved(name, data) for name in NAMES]
    for name, (settings, _) in zip(NAMES[1:], others):
        assert not (set(settings) ^ set(first)) - MAY_LACK, name
        for id in (set(first) & set(settings)) - {"bundle_root"}:
            assert settings[id] == first[id], (name, id)


@pytest.mark.parametrize("name", NAMES)
def test_a_bundle_adds_nothing_that_all_have_there(name):
    shared = set(yaml.safe_load((SHARED / "fair.yaml").read_text(encoding="utf-8")))
    own = set(yaml.safe_load((BUNDLES / name / "configs" / "fair.yaml").read_text(encoding="utf-8")))
    assert not own & (shared | SETTINGS)
    assert [re.sub(r".*/", "", str(file)) for file in layer_files(bundle_folder(name), "fair")] == ["fair.yaml"] * 2


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"bcp_segmentation"}))
def test_labeled_patches_get_one_loss(name):
    _, parser = resolved(name, ["la_quick"])
    loss = parser.get_parsed_content("objective#supervised")
    assert type(loss) is SupervisedLoss
    assert (loss.dice, loss.dice_weight, loss.ce_weight) == ("squared", 0.5, 0.5)


def test_the_conditions_are_those_that_were_measured():
    assert yaml.safe_load((SHARED / "fair.yaml").read_text(encoding="utf-8")) == {
        "symmetries": "full", "contrast": 0.6, "base_channels": 8, "learning_rate": 0.01, "schedule": "poly",
        "iterations": 2000,
    }  # fmt: skip
    for name in NAMES:
        _, parser = resolved(name, ["la_quick"])
        ramp = parser.get("ramp_up") if name in ("meanteacher_segmentation", "ssnet_segmentation") else None
        assert ramp in (None, "$round(@iterations * 0.4)")
