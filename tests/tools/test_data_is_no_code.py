"""Whatever a data set calls its groups, domains, folders and files: it is text, in every configuration on the way."""

import json
import random

import pytest
import yaml
from monai.bundle import ConfigParser

from common.errors import InputError
from common.networks import VNet
from common.options import Configuration
from common.options.check import check_configuration
from common.options.entries import Entries, quoted
from common.options.layers import read_layer
from common.options.table import table_of
from common.runs import Settings, assumed
from common.runs.components import as_data, build
from tools.plan.choices import Plan
from tools.plan.command import render
from tools.plan.lists import Roles
from tools.release.own_code import require_own_code
from tools.release.render import _without_places, literal
from tools.run import BUNDLES, configuration
from tools.shell import paste

ROOT = BUNDLES / "meanteacher_segmentation"
PIECES = [
    *"$@%#{}[]()'\":,!&*|>\\ \n\r\t\x1b\u2028\u202e", "::", "__import__('os').system('touch MARK')", "import os",
    *("\u00e9", "a", "0", "- ", "run", "@run", "%run", "${", "{{", "}}", "{patient}", "~", "null", "_target_"),
]  # fmt: skip
MARKS = [
    *("$[open('MARK', 'w')]", "$open('MARK', 'w')", "@run", "%run", "%/etc/passwd", "#run", "$import os", "$@run"),
    *("x\nrun: $open('MARK', 'w')", "x # {_target_: os.system}", "\"'$open('MARK', 'w')", "{_target_: os.system}"),
]


def texts(count, seed=0):
    rng = random.Random(seed)
    yield from MARKS
    for _ in range(count):
        yield "".join(rng.choices(PIECES, k=rng.randrange(1, 12)))


@pytest.fixture(autouse=True)
def nothing_was_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / "MARK").exists()


def resolved(content, id):
    parser = ConfigParser(content)
    return parser.get_parsed_content(id)


def test_quoted_text_is_what_monai_resolves_it_to():
    for text in texts(200):
        value = {"list": [text, {"key": text}], text: text, 5: [text], "_target_x": 1}
        assert resolved({"run": 1, "a": {"b": quoted(value)}}, "a") == {"b": value}, text
        assert resolved(json.loads(json.dumps({"run": 1, "a": quoted(text)})), "a") == text


def test_a_plan_says_what_the_data_set_says(tmp_path):
    for number, text in enumerate(texts(60)):
        plan = Plan(3)
        plan.set("labeled_domain", text, f"images of {text}")
        plan.set("sam#checkpoint", f"/data/{text}", "as given")
        home = tmp_path / f"{number}{text}".replace("/", "|")
        plan.method = type("Named", (), {"name": text})()
        file = tmp_path / "plan.yaml"
        file.write_text(render(plan, Roles({"group": text}, {"group": text}), home, text), encoding="utf-8")
        content = read_layer(file).content
        assert list(content) == ["dataset_dir", "group", "labeled_domain", "sam#checkpoint"], text
        parser = ConfigParser(ConfigParser.load_config_file(file))
        assert parser.get_parsed_content("dataset_dir") == str(home.resolve())
        assert parser.get_parsed_content("group") == parser.get_parsed_content("labeled_domain") == text
        assert content["sam#checkpoint"] == quoted(f"/data/{text}")


def test_a_printed_command_has_the_words_that_were_meant():
    import subprocess

    words = ["run", *(text for text in texts(40) if "\u2028" not in text and "\u202e" not in text)]
    line = paste(*words).removeprefix("python -m tools")
    assert line.isprintable()
    script = f"printf '%s\\0' {line}"
    said = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout.decode().split("\0")[:-1]
    assert said == words


def test_the_command_line_and_layers_keep_text(tmp_path):
    table = table_of(ROOT)
    for text in texts(30):
        if not text.isprintable() or not text.strip():
            continue
        content = {"run": 1, "class_names": None, "output_dir": "."}
        entries = Entries(content, "train.yaml")
        entries.merge({"class_names": [f"a{text}"], "output_dir": f"/x/a{text}".replace("/", "|")}, "mine.yaml")
        check_configuration(entries, content, table)
        parser = ConfigParser({**entries.content})
        assert parser.get_parsed_content("class_names") == [f"a{text}"], text
    config = configuration("synfoc_segmentation", [], {"labeled_domain": MARKS[0], "dataset_dir": str(tmp_path)})
    assert resolved({"run": 1, **config.options}, "labeled_domain") == MARKS[0]


def written_settings(text):
    network = {"_target_": "common.networks.VNet", "in_channels": 1, "out_channels": 2, "base_channels": 1}
    data = {"_target_": "common.datasets.load_datalist", "dataset_dir": text, "group": text, "splits": [{"a": text}]}
    options = {"group": text, "class_names": [text], "sam": {"kind": text}, "parts": {text: [1]}}
    return Settings(options, {"network_def": network, "datalist": data}, {"group": quoted(text)})


def test_settings_give_text_back_and_build_from_it(tmp_path):
    for text in texts(20):
        written_settings(text).write(tmp_path)
        trained = Settings.read(tmp_path / "settings.json")
        assert (trained["group"], trained["sam"]["kind"], trained["parts"]) == (text, text, {text: [1]})
        assert isinstance(trained.component("network_def"), VNet)
        assert resolved({"run": 1, "d": as_data(trained.literal("datalist")["splits"])}, "d") == [{"a": text}]
        with pytest.raises(Exception, match="no such data folder|group"):
            trained.component("datalist", splits="splits.json")


def test_a_release_holds_text_as_text():
    for text in texts(20):
        trained = written_settings(text)
        for written, value in (("$@trained['group']", text), ("$@trained.get('class_names')", [text]),
                               ("$@trained['parts']", {text: [1]})):  # fmt: skip
            rendered = json.loads(json.dumps(literal(written, trained)))
            if not text.startswith("/"):
                assert resolved({"run": 1, "a": rendered}, "a") == value
        component = literal("$@trained.component('datalist', group=@group)", trained)
        assert component["group"] == "@group" and component["_target_"] == "common.datasets.load_datalist"
        assert resolved({"run": 1, "a": component["splits"]}, "a") == [{"a": text}]
    private = "/home/me/$x#.pt"
    assert resolved({"a": literal("$@trained['sam']", Settings({"sam": private}, {}, {}))}, "a") == "$x#.pt"
    assert resolved(_without_places({"a": quoted(private), "b": [private]}, {}), "a") == "$x#.pt"
    assert "home" not in str(_without_places({"a": quoted(private), "b": [private]}, {}))


def test_assumed_settings_take_options_as_text(tmp_path):
    settings = assumed(ROOT, [], {"dataset_dir": quoted("$[open('MARK', 'w')]"), "base_channels": 2})
    assert settings["dataset_dir"] == "$[open('MARK', 'w')]"
    layer = tmp_path / "bomb.yaml"
    lines = [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi")]
    layer.write_text("".join(["a: &a [1, 1, 1]\n", *lines]), encoding="utf-8")
    with pytest.raises(InputError, match="more than 50000 values"):
        assumed(ROOT, [layer])


@pytest.mark.parametrize("component", [
    {"_target_": "os.system", "command": "touch MARK"},
    {"_target_": "subprocess.check_output", "args": ["touch", "MARK"]},
    {"_target_": "builtins.exec", "source": "open('MARK', 'w')"},
    {"_target_": "common.datasets.lists.json.codecs.builtins.open", "file": "MARK", "mode": "w"},
    {"_target_": "torch.nn.modules.module.warnings.sys.modules", "x": 1},
    {"_target_": "monai.networks.nets.vnet.torch.hub.load", "repo_or_dir": "."},
    {"_target_": "monai.transforms.LoadImage", "reader": "os.system", "command": "touch MARK"},
    {"_target_": "monai.bundle.run", "config_file": "evil.json"},
    {"_target_": "common.runs.assumed", "bundle_root": ".", "layers": []},
    {"_target_": "$open('MARK', 'w')"},
    {"_target_": ["os.system"]},
    {"_target_": "torch.nn.Identity", "_mode_": "debug"},
    {"_target_": "torch.nn.Identity", "_requires_": {"_target_": "os.system", "command": "touch MARK"}},
    {"_target_": "torch.nn.Identity", "more": [{"deep": {"_target_": "os.system", "command": "touch MARK"}}]},
])  # fmt: skip
def test_settings_of_strangers_build_parts_of_models_alone(tmp_path, component):
    Settings({}, {"network_def": component}, {}).write(tmp_path)
    with pytest.raises(InputError, match=r"settings\.json: .*(is no part of|is none of a setting)"):
        Settings.read(tmp_path / "settings.json", ["meanteacher"]).component("network_def")
    assert build({"_target_": "torch.nn.Identity"}, (), (), "") is not None
    assert build({"_target_": "collections.OrderedDict"}, (), ["collections.OrderedDict"], "") == {}


@pytest.mark.parametrize("content", [
    "[]", '{"format": 1}', '{"format": 1, "options": [], "components": {}, "configuration": {}}', "[" * 100000, "\x00",
    '{"format": 1, "options": {}, "components": {"network_def": "$open(1)"}, "configuration": {}}', '{"format": "$x"}',
])  # fmt: skip
def test_settings_that_are_none_are_one_line(tmp_path, content):
    (tmp_path / "settings.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"settings\.json: "):
        Settings.read(tmp_path / "settings.json")


@pytest.mark.parametrize("entry", [
    {"initialize": ["$open('MARK', 'w')"]},
    {"epoch_length": "$open('MARK', 'w')"},
    {"datalist": {"_target_": "os.system", "command": "touch MARK"}},
    {"schedule": "%/tmp/evil.json#run"},
])  # fmt: skip
def test_a_run_of_strangers_is_not_packaged_with_code_of_its_own(entry):
    files = [ROOT / "configs" / "train.yaml"]
    own = yaml.safe_load(files[0].read_text(encoding="utf-8"))
    require_own_code(Settings({}, {}, {**own, "group": quoted("$x"), "deployed": "@teacher"}), files)
    with pytest.raises(InputError, match="holds code that this bundle does not"):
        require_own_code(Settings({}, {}, {**own, **entry}), files)


def test_what_is_written_out_is_plain(tmp_path):
    parser = ConfigParser({"group": quoted("$[1]"), "copy": "@group"})
    assert Configuration.of(parser).literal("copy") == "$[1]"
