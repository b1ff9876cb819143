import pytest

from common.errors import InputError
from common.options import check_ids, check_options, whole_epochs

PROGRAM = "/somewhere/site-packages/monai/bundle/__main__.py"
CONFIG = """
iterations: 100
patch_size: [16, 16]
network_def:
  _target_: common.networks.VNet
  base_channels: 2
network: "@network_def"
handlers:
- _target_: A
- name: b
train:
  settings:
    check_every: 1
"""
OVERRIDE = """
learning_rate: 0.1
train#extra: 3
"""


@pytest.fixture
def run(tmp_path):
    """Check a ``monai.bundle run`` command line with the two files above."""
    (tmp_path / "train.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "more.yaml").write_text(OVERRIDE, encoding="utf-8")
    one, both = str(tmp_path / "train.yaml"), str([str(tmp_path / "train.yaml"), str(tmp_path / "more.yaml")])

    def check(*options, files=one):
        check_options([PROGRAM, "run", "--config_file", both if files == "both" else files, *options])

    return check


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--iterations", "3"),
        ("--iterations=3",),
        ("--patch_size", "[8, 8]"),
        ("--patch_size#0", "8"),
        ("--network_def#base_channels", "4"),
        ("--network_def::base_channels", "4"),
        ("--network_def#dropout", "0.1"),
        ("--network#dropout", "0.1"),
        ("--handlers#1#name", "c"),
        ("--handlers#0#anything", "1"),
        ("--train#settings#check_every", "5"),
        ("--meta_file", "m.json", "--logging_file", "l.conf", "--run_id", "run"),
        ("--+new", "1"),
        ("--_meta_#name", "x"),
    ],
)
def test_options_that_the_configuration_defines_pass(run, options):
    run(*options)


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("iteratons", "; did you mean 'iterations'?"),
        ("network_deff", "; did you mean 'network_def'?"),
        ("network_deff#base_channels", "; did you mean 'network_def'?"),
        ("train#setings", "; did you mean 'train#settings'?"),
        ("train#settings#check_evry", "; did you mean 'train#settings#check_every'?"),
        ("handlers#1#nam", "; did you mean 'handlers#1#name'?"),
        ("train::settings::check_evry", "; did you mean 'train#settings#check_every'?"),
        ("unlike_anything_else_zzz", ""),
        ("iterations#0", ""),
        ("handlers#7", ""),
        ("train#zzz", ""),
    ],
)
@pytest.mark.parametrize("form", ["two words", "equals"])
def test_mistyped_options_are_errors_with_a_hint(run, option, hint, form):
    given = (f"--{option}", "3") if form == "two words" else (f"--{option}=3",)
    with pytest.raises(InputError) as caught:
        run(*given)
    assert str(caught.value) == f"--{option}: no such option in the configuration{hint}"


def test_a_made_up_argument_in_the_middle_of_a_component_is_an_error(run):
    with pytest.raises(InputError, match="network_def#norm#kind"):
        run("--network_def#norm#kind", "batch")


def test_options_of_any_of_several_files_pass(run):
    run("--learning_rate", "0.2", "--iterations", "5", "--train#extra", "4", files="both")
    with pytest.raises(InputError, match="learning_rate: no such option"):
        run("--learning_rate", "0.2")


@pytest.mark.parametrize("arguments", [[], ["pytest", "--iteratons", "3"], [PROGRAM, "run", "--iteratons", "3"]])
def test_other_programs_and_runs_without_a_configuration_are_left_alone(arguments):
    check_options(arguments)


def test_the_own_command_line_is_the_default(monkeypatch, tmp_path):
    (tmp_path / "train.yaml").write_text(CONFIG, encoding="utf-8")
    monkeypatch.setattr("sys.argv", [PROGRAM, "run", f"--config_file={tmp_path / 'train.yaml'}", "--iteratons=3"])
    with pytest.raises(InputError, match="did you mean 'iterations'"):
        check_options()


def test_ids_are_checked_against_a_list_of_files(tmp_path):
    (tmp_path / "train.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "more.yaml").write_text(OVERRIDE, encoding="utf-8")
    files = [str(tmp_path / "train.yaml"), str(tmp_path / "more.yaml")]
    check_ids({"iterations": 1, "learning_rate": 2}, files)
    with pytest.raises(InputError, match="did you mean 'learning_rate'"):
        check_ids({"learning_rat": 2}, files)


def test_iterations_make_up_whole_epochs():
    assert whole_epochs(100, 20) == 5


@pytest.mark.parametrize(("iterations", "epoch_length"), [(100, 30), (0, 10), (-20, 10), (10, 20), (10, 0), (10, -5)])
def test_iterations_that_are_no_whole_epochs_are_refused(iterations, epoch_length):
    with pytest.raises(InputError, match=f"iterations={iterations} must be .* epoch_length={epoch_length}"):
        whole_epochs(iterations, epoch_length)
