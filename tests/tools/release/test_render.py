"""Configurations of a release: layers merged, names moved, components independent of the working directory."""

import pytest
import yaml

from common.errors import InputError
from tools.release.render import references, rename, render, targets


@pytest.fixture
def bundle(tmp_path):
    """A bundle of a few options; ``moon`` is its data set."""
    configs = {
        "train": {
            "imports": ["$import torch"],
            "bundle_root": ".",
            "dataset_dir": "data",
            "test_stride": [8, 8],
            "size": 3,
            "terms": {"a": {"weight": 1}},
            "network_def": {"_target_": "common.networks.VNet", "classes": "@size"},
            "objective": {"_target_": "method.Objective", "parts": ["$common.options.limit(@size)"]},
        },
        "inference": {
            "bundle_root": ".",
            "stride": [4, 4],
            "size": 3,
            "inferer": None,
            "network_def": {"_target_": "common.networks.VNet"},
            "handlers": [{"_target_": "StatsHandler"}, {"_target_": "CheckpointLoader"}],
        },
        "evaluate": {"+handlers": [{"_target_": "common.handlers.CaseMetrics"}]},
        "multi_gpu_train": {"device": "cpu"},
        "moon": {
            "size": 5,
            "terms#a#weight": 2,
            "stride": [1, 1],
            "test_stride": [2, 2],
            "window": "$@size * 2",
            "inferer": {"_target_": "common.inferers.Slow", "roi": "@window"},
            "idle": 1,
        },
    }
    (tmp_path / "configs").mkdir()
    for name, config in configs.items():
        (tmp_path / "configs" / f"{name}.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return tmp_path


def test_the_data_set_is_merged_into_training_and_inference(bundle):
    configs = render(bundle, "method", ["moon"], {})
    train, inference = configs["train"], configs["inference"]
    assert train["size"] == inference["size"] == 5 and train["terms"] == {"a": {"weight": 2}} and train["idle"] == 1
    assert inference["window"] == "$@size * 2"  # the layer's own, as the inferer refers to it
    assert "idle" not in inference and "terms" not in inference and "test_stride" not in inference
    assert inference["stride"] == [2, 2]  # as evaluated, not as validated during training


def test_options_reach_the_files_that_know_them(bundle):
    configs = render(bundle, "method", ["moon"], {"size": 7, "terms#a#weight": 3, "stride": [6, 6]})
    assert configs["train"]["size"] == configs["inference"]["size"] == 7
    assert configs["train"]["terms"]["a"]["weight"] == 3
    assert configs["inference"]["stride"] == configs["train"]["stride"] == [6, 6]


@pytest.mark.parametrize("option", ["sise", "terms#b#weight"])
def test_an_unknown_option_is_refused(option, bundle):
    with pytest.raises(InputError, match=f"--{option}: no such option"):
        render(bundle, "method", ["moon"], {option: 1})


def test_components_of_the_package_first_put_the_bundle_on_the_path(bundle):
    configs = render(bundle, "method", ["moon"], {})
    for config in (configs["train"], configs["inference"]):
        assert list(config)[:3] == ["imports", "bundle_root", "add_path"]
        assert {"$import os", "$import sys"} <= set(config["imports"])
        assert config["network_def"]["_requires_"] == "@add_path"
    assert configs["train"]["network_def"]["_target_"] == "method.common.networks.VNet"
    assert configs["train"]["objective"]["parts"] == ["$method.common.options.limit(@size)"]
    assert configs["inference"]["handlers"] == [{"_target_": "StatsHandler"}, {"_target_": "CheckpointLoader"}]
    assert configs["evaluate"]["+handlers"][0]["_target_"] == "method.common.handlers.CaseMetrics"
    assert configs["inference_trt"]["handlers#1#_disabled_"] is True


def test_renaming_touches_nothing_else():
    config = {
        "_target_": "monai.common.X",
        "text": "common.losses",
        "ref": "@common.x",
        "e": "$'common.a' + common.b.c",
    }
    assert rename(config, "m") == {**config, "e": "$'common.a' + m.common.b.c"}
    needing = {"_target_": "m.X", "_requires_": ["@add_path", "@seed"]}
    assert rename(needing, "m") == needing


def test_targets_and_references():
    config = {"_target_": "a.B", "c": [{"_target_": "common.d.E", "f": "$common.g.h(@i#j, @k)"}]}
    assert list(targets(config)) == ["a.B", "common.d.E", "common.g.h"]
    assert references(config) == {"i", "k"}
