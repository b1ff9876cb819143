"""Options that contradict a released bundle."""

import json
from copy import deepcopy

import pytest
from monai.bundle import ConfigParser

from common.errors import InputError
from common.options import Configuration
from common.runs.released import refuse_changed

RELEASED = {
    "bundle_root": ".",
    "normalize": False,
    "patch_size": [16, 16, 16],
    "sam": {"kind": "none", "img_size": 512},
    "stride": [8, 8, 8],
    "stride_factor": 1,
    "displayable_configs": {"stride_factor": "@stride_factor"},
    "preprocessing": {"_target_": "common.data.VolumePreprocessing", "normalize": False},
}


def refuse(folder, options, content=RELEASED):
    (folder / "configs").mkdir(exist_ok=True)
    (folder / "configs" / "inference.json").write_text(json.dumps(content), encoding="utf-8")
    parser = ConfigParser(deepcopy({**content, "bundle_root": str(folder)}))
    for name, value in options.items():
        parser[name] = value
    refuse_changed(Configuration.of(parser))


@pytest.mark.parametrize(
    ("name", "value", "trained"),
    [
        ("normalize", True, "normalize False"),
        ("patch_size", [16, 16, 32], "patch_size [16, 16, 16]"),
        ("sam#kind", "sam", "sam#kind none"),
    ],
)
def test_a_contradiction_names_both_values(tmp_path, name, value, trained):
    with pytest.raises(InputError) as caught:
        refuse(tmp_path, {name: value})
    assert str(caught.value).startswith(f"--{name} {value}: the released weights were trained with {trained};")


def test_what_may_differ_and_what_is_as_trained_pass(tmp_path):
    refuse(tmp_path, {})
    refuse(tmp_path, {"stride": [4, 4, 4], "stride_factor": 2, "displayable_configs#stride_factor": 0.5})
    refuse(tmp_path, {"normalize": False, "patch_size": (16, 16, 16), "sam#kind": "none"})


def test_a_configuration_that_asks_the_weights_is_left_to_them(tmp_path):
    refuse(tmp_path, {"normalize": True}, {**RELEASED, "trained": {}})
