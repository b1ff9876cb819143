import signal
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import InputError, StoppedError, find_explained, require_file, require_number, require_whole

ROOT = Path(__file__).resolve().parents[2]
PROLOGUE = "from common.errors import DivergedError, InputError, one_line_errors\none_line_errors()\n"


def run(code):
    return subprocess.run(
        [sys.executable, "-c", PROLOGUE + code], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("kind", ["InputError", "DivergedError"])
def test_an_error_that_explains_itself_ends_the_program_with_one_line(kind):
    result = run(f"raise {kind}('splits.json: not valid JSON')")
    assert result.stderr == "error: splits.json: not valid JSON\n"
    assert result.returncode == 1
    assert result.stdout == ""


def test_a_value_outside_its_choices_is_the_users_mistake():
    result = run("from common.errors import require_choice\nrequire_choice(mask=('and', ('xor', 'or')))")
    assert (result.returncode, result.stderr) == (1, "error: mask must be one of ('xor', 'or'), got 'and'\n")


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    raise InputError('a.nii: bad')\nexcept InputError as error:\n    raise RuntimeError('x') from error",
        "try:\n    raise InputError('a.nii: bad')\nexcept InputError as error:\n    raise RuntimeError('x')",
        "one_line_errors()\nraise InputError('a.nii: bad')",
    ],
    ids=["as a cause", "as a context", "installed twice"],
)
def test_an_input_error_is_found_behind_others(code):
    result = run(code)
    assert result.stderr == "error: a.nii: bad\n"
    assert result.returncode == 1


@pytest.mark.parametrize(
    ("raised", "line"),
    [
        ("OSError(28, 'x', 'a/model.pt')", "a/model.pt: no space left on device; files that were there before are as "),
        ("PermissionError(13, 'x', 'a/model.pt')", "a/model.pt: permission denied"),
        ("OSError(30, 'x')", "read-only file system"),
    ],
)
def test_what_a_file_system_says_ends_the_program_with_one_line(raised, line):
    result = run(f"try:\n    raise {raised}\nexcept OSError as error:\n    raise RuntimeError('library') from error")
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {line}") and result.stderr.count("\n") == 1


def test_an_interrupt_ends_the_program_with_one_line_and_its_exit_code():
    heard = "signal.signal(signal.SIGINT, signal.default_int_handler)"  # whatever the tests themselves were started by
    result = run(f"import os, signal, time\n{heard}\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)")
    assert result.stderr == "error: interrupted\n"
    assert result.returncode in (-signal.SIGINT, 128 + signal.SIGINT)


def test_a_run_that_was_stopped_says_what_it_kept_and_ends_with_the_signals_code():
    result = run("from common.errors import StoppedError\nraise StoppedError('stopped after iteration 3', 15)")
    assert (result.returncode, result.stderr) == (143, "")
    assert str(StoppedError("stopped after iteration 3", 15)) == "stopped after iteration 3"


@pytest.mark.parametrize(
    ("error", "shown"),
    [("InputError('a.nii: bad')", 0), ("StoppedError('stopped', 15)", 0), ("ValueError('a bug')", 1)],
)
def test_a_library_that_logs_an_explained_error_logs_its_message_alone(error, shown):
    code = (
        f"from common.errors import StoppedError\nimport logging\ntry:\n    raise {error}\nexcept BaseException as e:\n"
    )
    result = run(code + "    logging.exception(f'it failed: {e}')")
    assert "it failed: " in result.stderr and result.stderr.count("Traceback") == shown


def test_a_missing_file_that_no_code_expected_keeps_its_traceback():
    assert "Traceback" in run("open('no/such/file')").stderr


def test_other_errors_keep_their_traceback():
    result = run("raise ValueError('a bug')")
    assert "Traceback" in result.stderr
    assert "ValueError: a bug" in result.stderr
    assert result.returncode == 1


def test_search_ends_in_a_loop_of_causes():
    first, second = ValueError("1"), ValueError("2")
    first.__cause__, second.__cause__ = second, first
    assert find_explained(first) is None
    assert find_explained(None) is None


def test_the_first_explained_error_of_the_chain_is_found():
    outer, inner = InputError("outer"), InputError("inner")
    wrapped = RuntimeError("library")
    outer.__cause__, wrapped.__context__ = inner, outer
    assert find_explained(wrapped) is outer


def test_input_errors_are_value_errors():
    assert isinstance(InputError("x"), ValueError)


def test_required_files_are_returned_or_named_with_their_purpose(tmp_path):
    path = tmp_path / "model.pt"
    with pytest.raises(InputError, match=r"model\.pt: no such file; evaluation needs it"):
        require_file(path, "evaluation needs it")
    with pytest.raises(InputError, match="no such file"):
        require_file(tmp_path, "a folder is no file")
    path.touch()
    assert require_file(path, "evaluation needs it") == str(path)


@pytest.mark.parametrize("value", [0, -1, 1.5, "2", True, float("nan")])
def test_a_number_that_is_not_whole_or_too_small_is_told(value):
    with pytest.raises(InputError, match=r"^--workers .*: expected a whole number of at least 1$"):
        require_whole(1, first=None, workers=value)
    require_whole(1, workers=1, first=10**12)


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), "2", True, 3])
def test_a_number_out_of_its_range_is_told(value):
    with pytest.raises(InputError, match=r"^--hours .*: expected a number above 0 and at most 2$"):
        require_number(0, 2, above=True, hours=value)
    require_number(0, 2, above=True, hours=2, more=None)
