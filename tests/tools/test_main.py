"""The entry point: verbs without their imports, and the help on the options of a bundle."""

import inspect
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tools.__main__ as entry
from common.errors import InputError
from tools.arguments import taken
from tools.run import BUNDLES, bundle_names, command, config_file, layer_names

ROOT = Path(__file__).resolve().parents[2]
HEAVY = "[m for m in ('torch', 'monai', 'numpy', 'fire') if m in sys.modules]"


def shown(capsys, *arguments):
    entry.main(arguments)
    return capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_all_verbs_are_listed_with_a_line_each(capsys, arguments):
    lines = shown(capsys, *arguments).splitlines()
    for name in entry.VERBS:
        (line,) = [line for line in lines if line.startswith(f"  {name} ")]
        assert len(line.split(maxsplit=1)[1]) > 20


@pytest.mark.parametrize("name", entry.VERBS)
def test_every_verb_is_where_the_table_says(name):
    assert entry.verb(name).__name__ == name


@pytest.mark.parametrize("name", entry.VERBS)
def test_help_on_a_verb_is_read_from_its_source_as_it_is(name):
    real, read = entry.verb(name), entry.outline(name)
    assert inspect.signature(read) == inspect.signature(real)
    assert read.__doc__ == real.__doc__


def test_an_unknown_verb_is_an_error_with_a_hint():
    with pytest.raises(InputError, match="^rum: no such verb; python -m tools lists them; did you mean 'run'"):
        entry.main(["rum", "--x"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["o", "--outputs", "p"], "^--outputs: no such option of phantom; there are output, size"),
        (["o", "--label", "2"], "^--label: no such option of phantom; there are .*; did you mean 'labeled'"),
        (["o", "--sizes=[8,8,8]"], "^--sizes: no such option of phantom; .*; did you mean 'size'"),
        (["o", "-z", "3"], "^-z: no such option of phantom; there are "),
        ([], "^phantom: missing a required argument: 'output'; there are "),
        (["o"] * 20, "^phantom: too many positional arguments; there are "),
        (["o", "--output", "p"], "^phantom: multiple values for argument 'output'; there are "),
    ],
    ids=str,
)
def test_arguments_that_a_verb_does_not_take_are_told_before_it_begins(monkeypatch, tmp_path, words, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=said):
        entry.main(["phantom", *words])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [name for name in entry.VERBS if name != "run"])
def test_every_verb_tells_an_option_that_it_does_not_have(name):
    outline = entry.outline(name)
    parameters = inspect.signature(outline).parameters.values()
    needed = [
        p.name for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    words = [f"--{needs}=a" for needs in needed]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        assert taken(name, outline, [*words, "--nonsense", "3"])[1]["nonsense"] == "3"  # it checks them itself
    else:
        with pytest.raises(InputError, match="--nonsense: no such option of"):
            taken(name, outline, [*words, "--nonsense", "3"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["run"],
        ["nothing"],
        ["run", "--help"],
        ["run", "ssnet_segmentation", "--help"],
        ["run", "ssnet_segmentation", "--seed", "x"],
    ],
    ids=" ".join,
)
def test_help_and_mistakes_wait_for_no_library(arguments):
    code = "\n".join([
        "import sys, runpy",
        f"sys.argv = {['tools', *arguments]!r}",
        "sys.path.insert(0, '')",
        "try: runpy.run_module('tools', run_name='__main__')",
        "except Exception as error: print(error)",
        f"print({HEAVY})",
    ])  # fmt: skip
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout[-500:]
    assert time.perf_counter() - started < 20  # a second, on a machine that does nothing else


@pytest.mark.parametrize("word", entry.HELP)
def test_help_on_a_verb_waits_for_fire_alone(word):
    code = f"import sys\nimport tools.__main__ as entry\ntry: entry.main(['plan', '{word}'])\nfinally: print({HEAVY})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "['fire']"
    assert done.stdout.startswith("NAME\n    python -m tools plan - Plan a training") and not done.stderr
    assert "--iterations" in done.stdout


@pytest.mark.parametrize("bundle", bundle_names())
def test_the_help_on_a_bundle_has_its_layers_and_options(capsys, bundle):
    text = shown(capsys, "run", bundle, "--help")
    root = BUNDLES / bundle
    for name in layer_names(root):
        assert f"\n  {name} " in text, name
        first = config_file(root, name).read_text(encoding="utf-8").splitlines()[0]
        assert " ".join(first.lstrip("# ").split()[:3]) in text
    for option in (
        "--iterations ",
        "--amp auto",
        "--seed ",
        "--checkpoint",
        "--split validation",
        "--largest_component false",
    ):
        assert option in text
    words = " ".join(text.split())
    assert "epochs between two validations [an integer of at least 1]" in words
    assert text.index("Options of train:") < text.index("Options of inference:") < text.index("Options of evaluate:")


def test_nested_options_and_defaults_are_shown(capsys):
    words = " ".join(shown(capsys, "run", "synfoc_segmentation", "-h").split())
    assert "--sam#kind sam none: a second U-Net instead, which needs no checkpoint [one of sam, none]" in words
    assert "--smc#value 0.5 of constant [a number from 0 to 1]" in words
    assert "--ramp_up as iterations iterations until then" in words
    assert "--ckpt_dir as output_dir " in words and "--labeled null " in words and "-- SynFoC" in words


def test_a_command_without_a_bundle_names_them():
    with pytest.raises(InputError, match="run: expected the name of a bundle; there are .*ssnet_segmentation"):
        command([])
    with pytest.raises(InputError, match="ssnet_segmentatoin: no such bundle; .*did you mean 'ssnet_segmentation'"):
        command(["ssnet_segmentatoin", "--seed", "3"])
    with pytest.raises(InputError, match="^--seed: expected an integer from 0 to 4294967295 behind it$"):
        command(["ssnet_segmentation", "--seed"])
