"""Configurations of a release: layers merged, settings of the weights inside, names moved, no working directory."""

import pytest
import yaml

from common.errors import InputError
from common.runs import assumed
from tools.release.render import literal, rename, render, targets


@pytest.fixture
def bundle(tmp_path):
    """A bundle of a few options; ``moon`` is its data set."""
    configs = {
        "train": {
            "imports": ["$import torch"],
            "bundle_root": ".",
            "dataset_dir": "data",
            "output_dir": "$@bundle_root + '/models'",
            "ckpt_dir": "@output_dir",
            "test_stride": [8, 8],
            "size": 3,
            "init": None,
            "terms": {"a": {"weight": 1}},
            "network_def": {"_target_": "common.networks.VNet", "classes": "@size"},
            "datalist": {"_target_": "common.datasets.load_datalist", "dataset_dir": "@dataset_dir"},
            "objective": {"_target_": "method.Objective", "parts": ["$common.options.limit(@size)"]},
        },
        "inference": {
            "bundle_root": ".",
            "layers": [],
            "trained": {"_target_": "common.runs.load_trained"},
            "dataset_dir": "$@trained['dataset_dir']",
            "stride": "$@trained['test_stride']",
            "size": "$@trained['size']",
            "weight": "$@trained['terms']['a']['weight']",
            "colour": "$@trained.get('colour', 'red')",
            "network_def": "$@trained.component('network_def', dropout=@weight)",
            "handlers": [{"_target_": "StatsHandler"}, {"_target_": "common.runs.LoadWeights"}],
        },
        "evaluate": {
            "datalist": "$@trained.component('datalist', dataset_dir=@dataset_dir, training=False)",
            "+handlers": [{"_target_": "common.handlers.CaseMetrics", "notes": {"size": "$@trained['size']"}}],
        },
        "multi_gpu_train": {"device": "cpu"},
        "moon": {"size": 5, "terms#a#weight": 2, "test_stride": [2, 2]},
    }
    (tmp_path / "configs").mkdir()
    for name, config in configs.items():
        (tmp_path / "configs" / f"{name}.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return tmp_path


def test_the_data_set_is_merged_into_training_and_its_values_stand_in_inference(bundle):
    configs = render(bundle, "method", ["moon"], {})
    train, inference = configs["train"], configs["inference"]
    assert train["size"] == inference["size"] == 5 and train["terms"] == {"a": {"weight": 2}}
    assert inference["stride"] == [2, 2] and inference["weight"] == 2 and inference["colour"] == "red"
    network = {"_target_": "method.common.networks.VNet", "_requires_": "@add_path", "classes": 5, "dropout": "@weight"}
    assert inference["network_def"] == network
    assert not {"trained", "layers"} & set(inference) and "@trained" not in str(configs)
    datalist = configs["evaluate"]["datalist"]
    assert datalist["dataset_dir"] == "@dataset_dir" and datalist["training"] is False
    assert configs["evaluate"]["+handlers"][0]["notes"] == {"size": 5}


def test_a_run_is_released_as_it_was_trained_without_its_places(bundle):
    given = {"size": 9, "dataset_dir": "/home/someone/data", "output_dir": "/home/someone/run", "init": "/tmp/x/w.pt"}
    configs = render(bundle, "method", ["moon"], {}, assumed(bundle, [bundle / "configs" / "moon.yaml"], given))
    assert configs["train"]["size"] == configs["inference"]["size"] == 9
    assert configs["train"]["dataset_dir"] == "data" and configs["train"]["output_dir"] == "$@bundle_root + '/models'"
    assert "someone" not in str(configs) and configs["train"]["init"] == "w.pt"


def test_options_reach_the_files_that_know_them(bundle):
    configs = render(bundle, "method", ["moon"], {"size": 7, "terms#a#weight": 3})
    assert configs["train"]["size"] == configs["inference"]["size"] == 7
    assert configs["train"]["terms"]["a"]["weight"] == configs["inference"]["weight"] == 3


@pytest.mark.parametrize("option", ["sise", "terms#b#weight"])
def test_an_unknown_option_is_refused(option, bundle):
    with pytest.raises(InputError, match=f"--{option}: no such option"):
        render(bundle, "method", ["moon"], {option: 1})


def test_an_expression_that_a_release_cannot_replace_is_refused(bundle):
    with pytest.raises(InputError, match="expected a setting by name"):
        literal({"a": "$@trained['size'] + 1"}, assumed(bundle, ()))


def test_components_of_the_package_first_put_the_bundle_on_the_path(bundle):
    configs = render(bundle, "method", ["moon"], {})
    for config in (configs["train"], configs["inference"]):
        assert list(config)[:3] == ["imports", "bundle_root", "add_path"]
        assert {"$import os", "$import sys"} <= set(config["imports"])
        assert config["network_def"]["_requires_"] == "@add_path"
    assert configs["train"]["network_def"]["_target_"] == "method.common.networks.VNet"
    assert configs["train"]["objective"]["parts"] == ["$method.common.options.limit(@size)"]
    assert configs["inference"]["handlers"][1]["_target_"] == "method.common.runs.LoadWeights"
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


def test_targets():
    config = {"_target_": "a.B", "c": [{"_target_": "common.d.E", "f": "$common.g.h(@i#j, @k)"}]}
    assert list(targets(config)) == ["a.B", "common.d.E", "common.g.h"]
