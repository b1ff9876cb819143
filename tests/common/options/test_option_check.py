"""All that a command says, checked before anything is built: in files and on the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from common.errors import InputError
from common.options.command import FLAG, Command
from common.options.stack import checked
from common.options.table import table_of

ROOT = Path(__file__).resolve().parents[3]
BUNDLES = ROOT / "bundles"
NAMES = sorted(file.parents[1].name for file in BUNDLES.glob("*/configs/train.yaml"))
SMALL = {"patch_size": "[16,16,16]", "stride": "[16,16,16]"}


def check(options=None, *files, bundle="meanteacher_segmentation", base="train", size=SMALL):
    """What MONAI would be told, of a command for the bundle."""
    root = BUNDLES / bundle
    layers = [root / "configs" / f"{base}.yaml", *files]
    return checked(layers, {**size, **(options or {})}, root, base, [ROOT / "common" / "configs"]).changed


def refused(*given, **more):
    with pytest.raises(InputError) as caught:
        check(*given, **more)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.fixture
def layer(tmp_path):
    """Write a file of options."""

    def write(text, name="mine.yaml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return str(tmp_path / name)

    return write


# ---- command lines


@pytest.mark.parametrize(
    ("name", "word", "value"),
    [
        ("iterations", "1e3", 1000),
        ("epoch_length", "50", 50),
        ("resume", "off", False),
        ("resume", "yes", True),
        ("resume", FLAG, True),
        ("amp", "0", False),
        ("amp", "float16", "float16"),
        ("labeled", "null", None),
        ("max_grad_norm", "None", None),
        ("spacing", "2", [2, 2, 2]),
        ("window", "[-150,250]", [-150, 250]),
        ("patch_size", "32", [32, 32, 32]),
        ("patch_size#0", "16", 16),
        ("ema_buffers", "copy", "copy"),
        ("deployed", "@teacher", "@teacher"),
        ("uncertainty", "{passes: 8, threshold: 0.75}", {"passes": 8, "threshold": 0.75}),
        ("output_dir", "2024_01", "2024_01"),
        ("output_dir", "a,b", "a,b"),
        ("output_dir", "1e1", "1e1"),
        ("output_dir", "None", "None"),
        ("output_dir", "[a]", "[a]"),
        ("output_dir", "true", "true"),
        ("network_def#base_channels", "8", 8),
        ("network_def#dropout", "0.1", 0.1),
        ("network_def#name", "abc", "abc"),
        ("network_def#sizes", "[1, 2.5, x]", [1, 2.5, "x"]),
        ("train::trainer::max_epochs", "3", 3),
    ],
)
def test_a_word_becomes_the_value_that_monai_is_told(name, word, value):
    told = check({name: word})[name.replace("#", "::")]
    assert told == value and type(told) is type(value)


@pytest.mark.parametrize(
    "text", ["$HOME", "@x", "%x", "%#x", "$1/0", "$import os", "a#b", "a@b#0", "it's $5", "@network"]
)
def test_text_is_never_code(text):
    from monai.bundle import ConfigParser

    told = check({"output_dir": text, "ckpt_dir": "x"})
    assert told["output_dir"].startswith("$") and told["ckpt_dir"] == "x"
    parser = ConfigParser({"x": 5, "network": 6, "output_dir": told["output_dir"], "all": "$@output_dir + '/y'"})
    assert parser.get_parsed_content("output_dir") == text and parser.get_parsed_content("all") == f"{text}/y"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iteratons": "2"}, "--iteratons: no such option in the configuration; did you mean 'iterations'?"),
        ({"train#trainr#max_epochs": "2"}, "--train#trainr#max_epochs: no such option"),
        ({"seed": FLAG}, "--seed: expected an integer from 0 to 4294967295 behind it"),
        ({"network_def#dropout": FLAG}, "--network_def#dropout: expected a value behind it"),
        ({"iterations": "$2+2"}, "--iterations $2+2: expected an integer of at least 1"),
        ({"ramp_up": "@iterations"}, "--ramp_up @iterations: expected an integer of at least 0"),
        ({"deployed": "@objective"}, '--deployed @objective: expected "@network" or "@teacher"'),
        ({"target": "Hard"}, "--target Hard: expected one of hard, soft"),
        ({"iterations": "7", "epoch_length": "2"}, "iterations=7 must be a positive multiple of epoch_length=2"),
        ({"iterations": "50"}, "iterations=50 must be a positive multiple of epoch_length=100"),
        ({"patch_size": "[20,20,16]"}, "--patch_size [20, 20, 16]: the network takes multiples of 16 on each axis"),
        ({"patch_size": "[32,16,16]"}, "--patch_size [32, 16, 16]: quarter turns need two equal first extents"),
        (
            {"patch_size": "[32,32]", "slices": "true", "foreground_share": "0.3"},
            "--foreground_share 0.3: whole slices are resized and nothing is cut from them",
        ),
        ({"pooling": "[4,4]"}, "--pooling [4,4]: expected a list of 3 values"),
        ({"pooling": "[4,4,5]"}, "--pooling [4,4,5]: expected a list of 3 values, each an integer from 0 to 4"),
        (
            {"pooling": "[4,4,2]", "patch_size": "[16,16,18]"},
            "--patch_size [16, 16, 18]: the network takes multiples of 16 x 16 x 4",
        ),
        ({"pooling": "[4,4,2]", "patch_size": "[16,16]", "slices": "true"}, "--pooling [4, 4, 2]: slices are pooled"),
        ({"patch_size": "[16,16]"}, "--patch_size [16, 16]: two extents are of slices: give three"),
        ({"slices": "true"}, "--patch_size [16, 16, 16]: slices are cut: give two extents"),
        ({"patch_size": "[2048,2048,512]"}, "--patch_size [2048, 2048, 512]: expected at most 134217728 voxels"),
        ({"stride": "[16,16]"}, "--stride [16, 16]: expected as many values as patch_size has, 3"),
        ({"stride": "[16,16,17]"}, "--stride [16, 16, 17]: expected steps of at most the patch, [16, 16, 16]"),
        ({"test_stride": "[16,32,16]"}, "--test_stride [16, 32, 16]: expected steps of at most the patch"),
        ({"labeled_batch": "1"}, "--labeled_batch 1: batch norm needs two values"),
        ({"dataset_dir": "/no/such/place"}, "--dataset_dir /no/such/place: no such folder"),
        ({"dataset_dir": "$HOME/data"}, "--dataset_dir $HOME/data: no such folder"),
        ({"output_dir": __file__}, f"--output_dir {__file__}: expected a folder; there is a file of this name"),
        ({"uncertainty": "{passes: 3.5, threshold: 1}"}, "--uncertainty#passes 3.5: expected an integer from 2"),
        ({"uncertainty": "{steps: 3}"}, "--uncertainty#steps 3: expected only the keys passes, threshold"),
        ({"optimizer": "{lr: 0.1}"}, "--optimizer: expected a component with its _target_; optimizer#... changes"),
    ],
)
def test_what_is_wrong_on_a_command_line_is_one_line(options, message):
    assert refused(options).startswith(message)


def test_three_iterations_of_one_each_are_right_though_a_list_of_mistakes_has_them():
    assert check({"iterations": "3", "epoch_length": "1"})["iterations"] == 3


def test_patches_need_no_multiple_where_the_network_is_not_the_bundles_own(layer):
    file = layer("network_def: {_target_: monai.networks.nets.BasicUNet, spatial_dims: 3}\n")
    assert check({"patch_size": "[20, 20, 20]"}, file)["patch_size"] == [20, 20, 20]


@pytest.mark.parametrize(
    ("bundle", "options", "message"),
    [
        ("ssnet", {"lds#divergence": "dice"}, "--lds#divergence dice: expected one of dice_per_class"),
        ("dualnet", {"terms#cr#mask": "and"}, "--terms#cr#mask and: expected one of xor, or"),
        ("dualnet", {"terms#cr#maks": "or"}, "--terms#cr#maks: no such option in the configuration; did you mean"),
        ("sgrsnet", {"regions": "{omega: con, theta: nr}"}, "--regions: without delta; regions#... changes one"),
        ("sgrsnet", {"ema_decay": "1"}, "--ema_decay 1: expected a number of at least 0 and below 1"),
        ("synfoc", {"sam#img_size": "8"}, "--sam#img_size 8: expected an integer from 16 to 2048"),
        ("synfoc", {"sam": "{kind: none}"}, "--sam: without arch, checkpoint"),
        ("synfoc", {"unlabeled_batch": "3"}, "--unlabeled_batch 3: expected as many as labeled_batch, 4, or 0"),
        ("synfoc", {"orientation": "RAR"}, "--orientation RAR: expected three letters"),
        ("iere", {"labeled_batch": "5", "unlabeled_batch": "5"}, "--labeled_batch 5: expected an even number"),
        ("iere", {"unlabeled_batch": "2"}, "--unlabeled_batch 2: expected as many as labeled_batch, 12, or 0"),
        ("iere", {"pretrain#steps": "-1"}, "--pretrain#steps -1: expected an integer of at least 0, or null"),
    ],
)
def test_options_of_a_method_are_its_own(bundle, options, message):
    assert refused(options, bundle=f"{bundle}_segmentation", size={}).startswith(message)


# ---- files


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("iteratons: 5\n", "iteratons: no such option in the configuration; did you mean 'iterations'?"),
        ("train#trainr: 5\n", "train#trainr: no such option in the configuration; did you mean 'train#trainer'?"),
        ("train#more: 5\n", "train#more: no such option in the configuration"),
        ("optimizer#lr#x: 5\n", "optimizer#lr#x: optimizer#lr has no parts"),
        ("seed: many\n", "seed many: expected an integer from 0 to 4294967295"),
        ("seed: 1.5\n", "seed 1.5: expected an integer from 0 to 4294967295"),
        ("seed: null\n", "seed null: expected an integer"),
        ("ema_decay: .nan\n", "ema_decay nan: expected a number of at least 0 and below 1"),
        ("window: [0, on]\n", "window [0, True]: expected a list of 2 values"),
        ('seed: "$1+"\n', "seed $1+: not a Python expression"),
        ('objective#weights: {consistency: "$("}\n', "objective#weights#consistency $(: not a Python expression"),
        ('seed: "@nothing"\n', "seed: @nothing refers to nothing in the configuration"),
        ('optimizer#lr: "@lerning_rate"\n', "optimizer#lr: @lerning_rate refers to nothing in the configuration; did"),
        ('seed: "$@labled + 1"\n', "seed: @labled refers to nothing in the configuration; did you mean 'labeled'?"),
        ('seed: "@labeled"\nlabeled: "@seed"\n', "labeled: refers to itself (labeled -> seed -> labeled)"),
        ('seed: "@target"\n', "seed hard: expected an integer from 0"),
        ('seed: "$5.5"\n', "seed 5.5: expected an integer from 0"),
        ("network_def: {dropout: 0.1}\n", "network_def: expected a component with its _target_; network_def#..."),
        ("network_def: null\n", "network_def: expected a component with its _target_; network_def#..."),
        ("preprocessing: [1, 2]\n", "preprocessing: expected a component with its _target_"),
        ("datalist: 5\n", "datalist: expected a component with its _target_"),
        ("train: null\n", "train: expected a mapping with "),
        ("train: []\n", "train: expected a mapping with "),
        ("train#trainer: null\n", "train#trainer: expected a component with its _target_; train#trainer#..."),
        ("validate#evaluator: x\n", "validate#evaluator: expected a component with its _target_"),
        ("run: []\n", "run: expected what is to be done"),
        ("run: null\n", "run: expected what is to be done"),
        ("layers: [acdc]\n", "layers: a file names no layers; give them before it, where it is given"),
        ("layers: 5\n", "layers: a file names no layers"),
        ("+seed: [1]\n", "+seed: + adds a mapping to a mapping or a list to a list"),
        ("dataset_dir: /no/such/place\n", "dataset_dir /no/such/place: no such folder"),
    ],
)
def test_what_is_wrong_in_a_file_names_it_and_the_key(layer, text, message):
    file = layer(text)
    assert refused({}, file).startswith(f"{file}: {message}")


def test_a_file_may_say_in_its_own_words_what_options_are(layer, tmp_path):
    (tmp_path / "2024_01").mkdir()
    file = layer(
        'amp: "0"\nresume: no\noutput_dir: 2024_01\ngroup: "{patient}_*"\nspacing: 1.5\niterations: "1e3"\n'
        "ckpt_dir: 2024-01-05"
    )
    told = check({}, file)
    assert {k: told[k] for k in ("amp", "output_dir", "spacing", "iterations", "ckpt_dir")} == {
        "amp": False, "output_dir": "2024_01", "spacing": [1.5] * 3, "iterations": 1000, "ckpt_dir": "2024-01-05",
    }  # fmt: skip
    assert "resume" not in told and "group" not in told  # as MONAI reads them itself


def test_a_file_may_bring_entries_that_something_refers_to_and_those_of_other_bundles(layer):
    file = layer(
        "rate: 0.1\nsteps: {a: 3}\noptimizer#lr: '@rate'\niterations: '$100 * @steps#a'\nalpha: 70\nlayout: lists\n"
    )
    assert set(check({}, file)) == {"patch_size", "stride", "test_stride"}


def test_default_strides_end_at_a_small_patch():
    told = check({"patch_size": "[32,32,16]"}, size={})
    assert told["stride"] == [32, 32, 16] and "test_stride" not in told
    assert check({"patch_size": "[16,16,16]"}, size={})["test_stride"] == [16, 16, 4]
    assert "stride" not in check({"patch_size": "[128,128,96]"}, size={})


def test_an_option_goes_before_a_file_and_the_last_file_before_others(layer):
    files = layer("seed: 3\n", "one.yaml"), layer('seed: "4"\nlabeled: "2"\n', "two.yaml")
    assert check({"labeled": "3"}, *files) == {
        "patch_size": [16] * 3, "stride": [16] * 3, "seed": 4, "labeled": 3, "test_stride": [16, 16, 4],
    }  # fmt: skip


@pytest.mark.parametrize("bundle", NAMES)
def test_the_layers_of_every_bundle_pass(bundle):
    root = BUNDLES / bundle
    for file in sorted((root / "configs").glob("*.yaml")):
        if file.stem in ("train", "inference"):
            continue
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        place = {"dataset_dir": str(ROOT)} if "dataset_dir" in content else {}
        place |= (
            {"sam#kind": "none"} if content.get("sam#checkpoint") == "litemedsam" else {}
        )  # it may not be installed
        below = [root / "configs" / "acdc.yaml"] if file.stem in ("acdc_quick", "official_2d") else []
        below = [below_file for below_file in below if below_file.is_file()]
        place |= {"dataset_dir": str(ROOT)} if below else {}
        check(place, *below, file, bundle=bundle, size={})


@pytest.mark.parametrize("bundle", NAMES)
def test_inference_and_evaluation_pass(bundle):
    evaluate = ROOT / "common" / "configs" / "evaluate.yaml"
    check({"amp": "false", "largest_component": "yes"}, bundle=bundle, base="inference", size={})
    told = check({"split": "test", "metric_spacing": "1"}, evaluate, bundle=bundle, base="inference", size={})
    assert told["metric_spacing"] == [1, 1, 1]
    assert "expected one of validation, test" in refused(
        {"split": "tests"}, evaluate, bundle=bundle, base="inference", size={}
    )


# ---- words


def test_the_words_of_a_command_line():
    words = [
        "ssnet",
        "la",
        "--seed",
        "-3",
        "--a=b=c",
        "--resume",
        "--learning-rate",
        "1",
        "more",
        "--seed",
        "4",
        "--x",
        "--y",
    ]
    command = Command.of(words)
    assert command.words == ["ssnet", "la", "more"]
    assert command.options == {"seed": "4", "a": "b=c", "resume": FLAG, "learning_rate": "1", "x": FLAG, "y": FLAG}


def test_tables_need_no_torch():
    code = (
        "import sys, json; from common.options.table import table_of; import common.options.stack, common.options.help;"
        f"print(json.dumps([len(table_of('bundles/' + name)) for name in {NAMES!r}] + ['torch' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    *sizes, torch = json.loads(done.stdout)
    assert not torch and sizes == [len(table_of(BUNDLES / name)) for name in NAMES]
