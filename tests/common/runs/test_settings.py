"""Settings beside weights: collected from a configuration, read back, compared with what an inference file says."""

import json
import logging
import shutil

import pytest
import torch
import yaml
from monai.bundle import ConfigParser

from common.errors import InputError, find_explained
from common.options import Configuration
from common.runs import Settings, assumed
from common.runs.record import write_record
from common.runs.settings import options_of, written_out

TRAIN = {
    "imports": ["$import os"],
    "bundle_root": ".",
    "size": 4,
    "half": "$@size // 2",
    "rate": 0.1,
    "sam": {"kind": "none", "sides": [1, 2]},
    "place": "$os.environ.get('NOWHERE', '')",
    "device": "$torch.device('cpu')",
    "stretch": "$@train#trainer / @size",
    "deployed": "@network_def",
    "dataset_dir": "data",
    "network_def": {"_target_": "torch.nn.Linear", "in_features": "@half", "out_features": 1, "_requires_": "@rate"},
    "preprocessing": {"_target_": "Compose", "transforms": []},
    "train": {"trainer": {"_target_": "builtins.int"}},
}
INFERENCE = {
    "imports": ["$import os"],
    "bundle_root": ".",
    "dataset_dir": "$@trained['dataset_dir']",
    "inputs": "$os.path.join(@dataset_dir, 'images')",
    "checkpoint": "",
    "layers": [],
    "trained": {
        "_target_": "common.runs.load_trained",
        "checkpoint": "@checkpoint",
        "bundle_root": "@bundle_root",
        "layers": "@layers",
    },
    "size": "$@trained['size']",
    "sam": {"kind": "$@trained['sam']['kind']"},
    "stride": "$@trained.get('stride', 7)",
    "network_def": "$@trained.component('network_def')",
}


@pytest.fixture
def bundle(tmp_path):
    """A bundle of a few options, with a layer."""
    (tmp_path / "configs").mkdir()
    for name, content in {"train": TRAIN, "inference": INFERENCE, "wide": {"size": 8}}.items():
        (tmp_path / "configs" / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return tmp_path


@pytest.fixture
def weights(bundle):
    """Weights in a run's folder, without a word about them."""
    (bundle / "run").mkdir()
    torch.save({}, bundle / "run" / "model.pt")
    return bundle / "run" / "model.pt"


def infer(bundle, **options):
    """The inference configuration of the bundle under some options."""
    parser = ConfigParser(ConfigParser.load_config_file(bundle / "configs" / "inference.yaml"))
    parser["bundle_root"] = str(bundle)
    for name, value in options.items():
        parser[name] = value
    return parser


def test_options_are_plain_data_and_expressions_over_such():
    assert options_of(TRAIN) == ["bundle_root", "size", "half", "rate", "sam", "place", "dataset_dir"]


def test_settings_hold_values_in_place_of_references(bundle):
    settings = assumed(bundle, ())
    assert settings["half"] == 2 and settings["sam"] == {"kind": "none", "sides": [1, 2]} and settings["place"] == ""
    assert settings.literal("network_def") == {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 1}
    assert settings.component("network_def", out_features=3).weight.shape == (3, 2)
    assert settings.configuration["half"] == "$@size // 2"
    with pytest.raises(InputError, match="says nothing of colour"):
        settings["colour"]
    assert settings.get("colour", "red") == "red"


def test_settings_come_back_from_their_file(bundle):
    settings = assumed(bundle, (), {"size": 6})
    settings.write(bundle)
    again = Settings.read(bundle / "settings.json")
    assert dict(again) == dict(settings) and again.components == settings.components
    assert again["half"] == 3 and again.configuration["size"] == 6


def test_parts_are_given_out_only_if_they_are_parts_of_models():
    linear = {"_target_": "torch.nn.Linear", "in_features": 1, "out_features": 1}
    own, named = {"_target_": "tests.toys.LinearObjective"}, {"_target_": "theirs.Net"}
    components = {"a": linear, "b": own, "c": named, "d": {**linear, "in_features": {"_target_": "os.getpid"}}}
    settings = Settings({}, components, {}, "settings.json", packages=["tests"], named=["theirs.Net"])
    assert [settings.parts(name) for name in "abc"] == [linear, own, named]
    with pytest.raises(InputError, match=r"^settings.json: 'os.getpid' is no part of this bundle or its libraries"):
        settings.parts("d")
    with pytest.raises(InputError, match="^settings.json: holds no e; the weights are of another bundle"):
        settings.parts("e")


def test_settings_changed_by_hand_are_refused(bundle):
    file = bundle / "settings.json"
    assumed(bundle, (), {"size": 6}).write(bundle)
    write_record(bundle, ["settings.json"])
    Settings.read(file)
    file.write_text(file.read_text(encoding="utf-8").replace("6", "8"), encoding="utf-8")
    with pytest.raises(InputError, match="is not the file that record.json beside it lists: changed since, or damaged"):
        Settings.read(file)
    (bundle / "record.json").unlink()
    Settings.read(file)  # of a run that has not ended, or of whoever vouches for it


def test_weights_of_elsewhere_have_no_settings_in_the_folder_of_a_run(bundle, weights):
    assumed(bundle, (), {"size": 6}).write(weights.parent)
    write_record(weights.parent, ["model.pt", "settings.json"])
    renamed, foreign = weights.with_name("best.pt"), weights.with_name("other.pt")
    shutil.copyfile(weights, renamed)
    torch.save({"a": torch.ones(1)}, foreign)
    assert infer(bundle, checkpoint=str(renamed)).get_parsed_content("size") == 6
    with pytest.raises(Exception, match="trained") as caught:
        infer(bundle, checkpoint=str(foreign)).get_parsed_content("size")
    assert "other.pt: none of the weights that record.json beside it lists" in str(find_explained(caught.value))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 99}', "\x00"])
def test_a_file_of_something_else_is_named(text, tmp_path):
    (tmp_path / "settings.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="settings.json: "):
        Settings.read(tmp_path / "settings.json")


@pytest.mark.parametrize("given", ["file", "folder"])
def test_inference_is_as_trained(given, bundle, weights):
    assumed(bundle, (), {"size": 6, "sam#kind": "vit", "dataset_dir": "there"}).write(weights.parent)
    parser = infer(bundle, checkpoint=str(weights if given == "file" else weights.parent))
    assert parser.get_parsed_content("size") == 6 and parser.get_parsed_content("sam") == {"kind": "vit"}
    assert parser.get_parsed_content("inputs") == "there/images" and parser.get_parsed_content("stride") == 7
    assert parser.get_parsed_content("network_def").in_features == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 4}, "--size 4: .*model.pt was trained with size 6"),
        ({"size": "$2 * 2"}, "--size 4: .*was trained with size 6"),
        ({"sam#kind": "vit"}, "--sam#kind vit: .*was trained with sam#kind none"),
        ({"layers": "wide"}, "--size 8: .*was trained with size 6"),
    ],
)
def test_a_contradiction_names_both_values(options, message, bundle, weights):
    assumed(bundle, (), {"size": 6}).write(weights.parent)
    if "layers" in options:
        options = {"layers": [str(bundle / "configs" / "wide.yaml")]}
    with pytest.raises(RuntimeError) as caught:
        infer(bundle, checkpoint=str(weights), **options).get_parsed_content("network_def")
    with pytest.raises(InputError, match=message):
        raise find_explained(caught.value)


@pytest.mark.parametrize("options", [{"size": 6}, {"size": 6.0}, {"stride": 3}, {"dataset_dir": "other"}])
def test_what_agrees_and_what_may_differ_passes(options, bundle, weights):
    assumed(bundle, (), {"size": 6}).write(weights.parent)
    assert infer(bundle, checkpoint=str(weights), **options).get_parsed_content("network_def").in_features == 3


def test_weights_that_say_nothing_are_refused_until_somebody_speaks_for_them(bundle, weights, caplog):
    with pytest.raises(RuntimeError) as caught:
        infer(bundle, checkpoint=str(weights)).get_parsed_content("network_def")
    assert "no settings.json beside it says how these weights were trained" in str(find_explained(caught.value))
    with caplog.at_level(logging.WARNING):
        named = infer(bundle, checkpoint=str(weights), layers=[str(bundle / "configs" / "wide.yaml")])
        assert named.get_parsed_content("network_def").in_features == 4
    assert "taken as trained with size 8, sam {'kind': 'none'" in caplog.text
    assert infer(bundle, checkpoint=str(weights), size=10).get_parsed_content("network_def").in_features == 5


def test_without_weights_a_bundle_is_as_its_training_file(bundle):
    assert infer(bundle, checkpoint=str(bundle / "none")).get_parsed_content("network_def").in_features == 2


def test_only_what_stands_there_counts_as_given(bundle):
    parser = infer(bundle, checkpoint="x", size=5)
    assert written_out(Configuration.of(parser)) == {
        "bundle_root": str(bundle), "checkpoint": "x", "layers": [], "size": 5,
    }  # fmt: skip


def test_a_written_file_is_json_of_plain_data(bundle):
    assumed(bundle, ()).write(bundle)
    content = json.loads((bundle / "settings.json").read_text(encoding="utf-8"))
    assert content["format"] == 1 and content["options"]["rate"] == 0.1


def test_a_list_that_a_reference_has_become_is_plain_too():
    """MONAI writes what it resolves into the entry: the list has no entries of its own then."""
    parser = ConfigParser({"patch": [4, 6], "size": "@patch"})
    configuration = Configuration.of(parser)
    parser.get_parsed_content("size")
    assert configuration.literal("size") == configuration.literal("patch") == [4, 6]
