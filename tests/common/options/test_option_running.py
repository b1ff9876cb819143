"""The check inside a run of MONAI's own command, and what else goes wrong there, in one line."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser

from common.errors import InputError
from common.options import check_options, checked_request
from common.options.components import check_devices
from common.options.explain import explained, explanation

ROOT = Path(__file__).resolve().parents[3]
BUNDLE = ROOT / "bundles" / "meanteacher_segmentation"
PROGRAM = "/somewhere/site-packages/monai/bundle/__main__.py"
CHECK = {"_target_": "common.options.check_options"}


def parser(content, **more):
    return ConfigParser({"bundle_root": str(BUNDLE), "check": {**CHECK, **more}, "train": {}, **content})


def check(content, arguments=(), **more):
    """The configuration after the check, which read the words of a command line."""
    config = parser(content, **more)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", [PROGRAM, "run", *arguments] if arguments else ["tests"])
        config.get_parsed_content("check")
    return config


def test_values_take_their_canonical_form_wherever_they_are_referred_to():
    config = check({
        "iterations": "1e3", "epoch_length": 100.0, "amp": "0", "patch_size": 32, "spacing": [1, 1, "2"],
        "stride": [16, 16, 16], "uncertainty": {"passes": "4", "threshold": "0.5"}, "output_dir": "$'a' + 'b'",
        "twice": "$@iterations * 2", "first": "@patch_size#0", "all": "@uncertainty", "where": "$@output_dir + '/x'",
    })  # fmt: skip
    values = {
        name: config.get_parsed_content(name)
        for name in ("iterations", "amp", "patch_size", "spacing", "twice", "first", "all", "where")
    }
    assert values == {
        "iterations": 1000, "amp": False, "patch_size": [32, 32, 32], "spacing": [1, 1, 2], "twice": 2000, "first": 32,
        "all": {"passes": 4, "threshold": 0.5}, "where": "ab/x",
    }  # fmt: skip
    assert type(config.get_parsed_content("epoch_length")) is int


@pytest.mark.parametrize("word", ["2024_01", "a,b", "$HOME", "1e1", "@x", "%x", "None", "$1/0", "a#b"])
def test_text_on_the_command_line_of_monai_is_what_was_typed(word):
    taken_by_fire = {"2024_01": 202401, "a,b": ("a", "b"), "1e1": 10.0, "None": None}.get(word, word)
    content = {"output_dir": taken_by_fire, "below": "$@output_dir + '/x'", "x": 5}
    config = check(content, ["--output_dir", word])
    assert config.get_parsed_content("output_dir") == word and config.get_parsed_content("below") == f"{word}/x"


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ({"seed": "x"}, (), "--seed x: expected an integer"),
        ({"seed": 10.5}, ("--seed", "10.5"), "--seed 10.5: expected an integer"),
        ({"seed": True}, ("--seed",), "--seed: expected an integer from 0 to 4294967295 behind it"),
        ({"resume": "maybe"}, ("--resume=maybe",), "--resume maybe: expected true or false"),
        ({"seed": "$2 * 0.25"}, (), "--seed 0.5: expected an integer"),
        ({"labeled": "@half", "half": "$1 / 2"}, (), "--labeled 0.5: expected an integer of at least 1, or null"),
        ({"uncertainty": {"passes": "$1"}}, (), "--uncertainty#passes 1: expected an integer from 2 to 1000"),
        ({"uncertainty": {"steps": 1}}, (), "--uncertainty::steps: no such option".replace("::", "#")),
        ({"dataset_dir": 2024}, (), "--dataset_dir 2024: expected a folder, in quotes"),
        ({"patch_size": [24, 16, 16]}, (), "--patch_size [24, 16, 16]: the network takes multiples of 16"),
        ({"device": "cuda:63"}, (), "--device cuda:63: this machine has"),
        ({"cache_device": "mps:7"}, (), "--cache_device mps:7: expected disk, or cpu, cuda"),
        ({"objective": {"_target_": "no.such.Thing"}}, (), "--objective: there is no no.such.Thing (_target_)"),
        ({"objective": {"_target_": "torch.nn.Linear", "inputs": 3}}, (), "--objective: Linear: got an unexpected"),
        (
            {"objective": {"_target_": "Compose", "transforms": [{"_target_": "Compos"}]}},
            (),
            "--objective#transforms#0: there is no Compos",
        ),
    ],
)
def test_a_wrong_value_in_a_configuration_is_one_line(content, arguments, message):
    with pytest.raises(RuntimeError) as caught, explained():
        check(content, arguments)
    assert str(caught.value.__cause__).startswith(message)


def test_before_a_run_is_initialized_nothing_is_resolved():
    config = check({"seed": "1e1", "labeled": "$1/0", "objective": {"_target_": "no.such.Thing"}}, resolve=False)
    assert config.get_parsed_content("seed") == 10
    with pytest.raises(RuntimeError, match="Failed"):
        check({"seed": "x"}, resolve=False)


def test_components_that_are_switched_off_or_partial_are_left_alone():
    check({
        "a": {"_target_": "no.such.Thing", "_disabled_": True},
        "b": {"_target_": "torch.nn.Linear", "_mode_": "callable", "anything": 3},
        "c": {"_target_": "torch.nn.Linear", "in_features": 3},
        "d": {"_target_": "$@b", "x": 1},
        "device": {"_target_": "torch.device", "type": "cpu"},
    })  # fmt: skip


@pytest.mark.parametrize(("first", "devices"), [("cuda:1", (2, False)), ("mps", (0, True)), ("mps:0", (0, True))])
def test_devices_are_counted_by_their_kind(first, devices, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: devices[0])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: devices[1])
    check_devices({"device": first, "cache_device": "cpu"})
    for device, count in (("cuda:2", devices[0] or "no"), ("mps:1", int(devices[1]) or "no")):
        with pytest.raises(InputError, match=f"^--cache_device {device}: this machine has {count} {device[:-2]} dev"):
            check_devices({"cache_device": device})


# ---- what MONAI raises


def resolved(content, id):
    return ConfigParser(content).get_parsed_content(id)


@pytest.mark.parametrize(
    ("content", "id", "message"),
    [
        ({"seed": "$1/0", "use": "@seed"}, "use", "--seed: ZeroDivisionError: division by zero"),
        ({"seed": "@nothing"}, "seed", "--seed: the referring item `@nothing` is not defined"),
        ({"a": "@b", "b": "@a"}, "a", "--b: detected circular references 'a'"),
        ({"net": {"_target_": "no.such.Thing"}}, "net", "--net: Cannot locate class or function path: 'no.such.Thing'"),
        (
            {"net": {"_target_": "torch.nn.Linear", "x": 1}},
            "net",
            "--net: TypeError: Linear.__init__() got an unexpected",
        ),
        (
            {
                "net": {"_target_": "torch.nn.Conv3d", "in_channels": 1, "out_channels": 0, "kernel_size": 1},
                "a": [{"b": "@net"}],
            },
            "a",
            "--net: ",
        ),
        ({"a": {"b": [1, "$len(5)"]}}, "a", "--a#b#1: TypeError: object of type 'int' has no len()"),
        ({"a": "$open('/no/such/file')"}, "a", "/no/such/file: No such file or directory"),
        ({"a": "$exit(0)"}, "a", "--a: 0"),
        ({"a": "$exit('enough')"}, "a", "--a: enough"),
    ],
)
def test_what_monai_raises_names_the_entry(content, id, message):
    if "Conv3d" in str(content):
        content["net"]["out_channels"] = -4
    with pytest.raises(InputError) as caught, explained():
        resolved(content, id)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("length", "shown"), [(300, 300 * "x"), (301, 297 * "x" + "...")])
def test_long_reasons_are_cut(length, shown):
    with pytest.raises(InputError) as caught, explained():
        resolved({"a": f"$exec(\"raise ValueError({length} * 'x')\")"}, "a")
    assert str(caught.value) == f"--a: {shown}"


def test_the_place_of_an_entry_is_named_where_it_is_known():
    with (
        pytest.raises(InputError, match="^mine.yaml: seed: ZeroDivisionError"),
        explained(lambda id: f"mine.yaml: {id}"),
    ):
        resolved({"seed": "$1/0"}, "seed")


def bug():
    return [][0]


@pytest.mark.parametrize("id", ["run", "initialize", "finalize"])
def test_a_bug_in_what_a_run_does_keeps_its_traceback(id):
    content = {id: [f"$__import__('{__name__}', fromlist=['bug']).bug()"]}
    with pytest.raises(RuntimeError, match="Failed to evaluate"), explained():
        resolved(content, f"{id}::0")
    assert explanation(IndexError("x")) is None


def test_an_error_that_explains_itself_stays():
    with pytest.raises(RuntimeError) as caught, explained():
        resolved({"a": {"_target_": "common.errors.require_file", "path": "/no/file", "purpose": "why"}}, "a")
    assert isinstance(caught.value.__cause__, InputError)


# ---- the whole command


def test_the_command_of_monai_ends_with_one_line(tmp_path):
    file = BUNDLE / "configs" / "train.yaml"
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(file), "--bundle_root", str(BUNDLE)]
    done = subprocess.run(
        [*command, "--output_dir", str(tmp_path / "run"), "--dataset_dir", "2024_01", "--learning_rate", "1e30"],
        cwd=ROOT, capture_output=True, text=True, timeout=250,
    )  # fmt: skip
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert errors == ["error: --learning_rate 1e30: expected a number above 0 and at most 10"]
    assert done.returncode == 1 and "Traceback" not in done.stderr and not list(tmp_path.iterdir())


# ---- MONAI Label


def request(**shown):
    config = ConfigParser({
        "bundle_root": str(BUNDLE), "stride_factor": 2, "largest_component": False,
        "displayable_configs": {"stride_factor": "@stride_factor", "largest_component": "@largest_component", **shown},
        "request": {"_target_": "common.options.checked_request"}, "used": "$@request['stride_factor'] * 2",
    })  # fmt: skip
    return config


def test_the_options_of_a_request_are_read_by_their_types():
    config = request(largest_component="no", uncertainty_map=1)
    assert config.get_parsed_content("request") == {
        "stride_factor": 2,
        "largest_component": False,
        "uncertainty_map": True,
    }
    assert config.get_parsed_content("used") == 4
    assert request(stride_factor="1.5").get_parsed_content("request")["stride_factor"] == 1.5


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("stride_factor", "fast", "stride_factor fast: expected a number from 0.01 to 100"),
        ("stride_factor", "$__import__('os').abort()", "stride_factor $__import__"),
        ("largest_component", "@stride_factor", "largest_component @stride_factor: expected true or false"),
        ("colour", "red", "colour: no such option"),
    ],
)
def test_a_request_cannot_bring_anything_else(name, value, message):
    with pytest.raises(RuntimeError) as caught:
        request(**{name: value}).get_parsed_content("request")
    assert str(caught.value.__cause__).startswith(message)


def test_devices_of_this_machine_pass():
    names = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    for name in names:
        check({"device": name, "cache_device": "cpu"})
    assert check_options(["pytest"]) == {} and callable(checked_request)
