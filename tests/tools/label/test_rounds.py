"""Rounds of training: which weights count, who is held out, and what viewers see of it."""

import json
import subprocess
import sys

import pytest

from common.datasets import load_datalist
from common.errors import InputError
from tools.label.rounds import FEWEST, Rounds, write_lists


@pytest.fixture
def rounds(tmp_path):
    return Rounds(tmp_path / "la", tmp_path / "released.pt")


def finish(rounds, **facts):
    name, folder = rounds.begin(epochs=4, epoch_length=5, **facts)
    rounds.record(name, status="done", seconds=12.3)
    return name, folder


def test_the_newest_finished_round_counts(rounds, tmp_path):
    assert rounds.weights() == ("released", tmp_path / "released.pt") and rounds.progress() == {}
    name, folder = finish(rounds, labeled=["a"])
    assert rounds.weights() == (name, folder / "model.pt") == ("0001", tmp_path / "la/rounds/0001/model.pt")
    rounds.begin(epochs=1, epoch_length=1, labeled=["a"])  # and was killed
    assert rounds.weights()[0] == "0001" and rounds.names() == ["0001", "released"] and rounds.last()[0] == "0002"
    assert finish(rounds, labeled=["a"])[0] == "0003" and rounds.weights("released")[0] == "released"
    with pytest.raises(InputError, match="weights 0002: no such round; there are newest, 0003, 0001, released"):
        rounds.weights("0002")


def test_validation_cases_stay_and_were_never_learned_from(rounds):
    assert rounds.held_out(list("abc")) == []
    finish(rounds, labeled=list("abc"))
    assert rounds.held_out(list("abcd")) == ["d"] and FEWEST == 4
    finish(rounds, labeled=list("abc"))
    assert rounds.held_out(list("abcdefghij")) == ["d", "e"]
    assert rounds.held_out(list("abcd")) == ["d"]
    assert rounds.held_out(list("abc")) == []  # and nothing is left of those that were learned from


def test_viewers_see_how_far_it_is(rounds):
    name, folder = rounds.begin(epochs=4, epoch_length=5, labeled=["a", "b"], unlabeled=7)
    with rounds.running(name):
        see(rounds, name, folder)


def test_a_round_that_was_killed_is_no_longer_running(rounds):
    finish(rounds, labeled=["a"])
    assert rounds.dice() is None  # nothing was held out
    rounds.record("0001", dice=0.5)
    name, folder = rounds.begin(epochs=4, epoch_length=5, labeled=["a"])
    code = "import sys; from pathlib import Path; from tools.label.rounds import Rounds"
    code += "; rounds = Rounds(Path(sys.argv[1]), Path('x')); guard = rounds.running('0002')"
    command = [sys.executable, "-c", f"{code}; guard.acquire(); print('now', flush=True); sys.stdin.read()"]
    with subprocess.Popen([*command, str(rounds.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        assert rounds.progress()["status"] == "running"
        child.kill()
        child.wait()
    (folder / "history.csv").write_text("iteration,seconds_per_step\n5,2.0\n", encoding="utf-8")
    stats = rounds.progress()
    assert (stats["status"], stats["epoch"], stats["total_time"]) == ("stopped", 1, "unknown")
    assert "remaining_minutes" not in stats and rounds.dice() == 0.5 and rounds.weights()[0] == "0001"


def see(rounds, name, folder):
    assert rounds.progress()["epoch"] == 0 and rounds.progress()["total_epochs"] == 4
    (folder / "history.csv").write_text("iteration,seconds_per_step\n5,2.0\n10,3.0\n", encoding="utf-8")
    stats = rounds.progress()
    assert (stats["epoch"], stats["labeled"], stats["unlabeled"]) == (2, 2, 7)
    assert stats["remaining_minutes"] == "0.5" and "total_time" not in stats and "best_metric" not in stats
    rounds.record(name, status="done", seconds=30, dice_before=0.5, dice=0.75)
    stats = rounds.progress()
    assert stats["total_time"] == "30 s" and stats["best_metric"] == stats["validation_dice"] == 0.75
    assert None not in stats.values() and rounds.pace() == 3.0


def test_lists_name_the_files_of_the_studies(tmp_path):
    for name in ("a b.nii.gz", "c.nii.gz", "u.nii.gz", "l1.nii.gz", "l2.nii.gz"):
        (tmp_path / name).write_bytes(name.encode())
    labeled = {
        id: {"image": str(tmp_path / f"{id}.nii.gz"), "label": str(tmp_path / f"l{k}.nii.gz")}
        for k, id in enumerate(("a b", "c"), start=1)
    }
    write_lists(tmp_path / "data", labeled, {"u": str(tmp_path / "u.nii.gz")}, ["c"])
    roles = load_datalist(tmp_path / "data")
    assert [case["case"] for case in roles["labeled"]] == ["a b"] and roles["validation"][0]["case"] == "c"
    assert roles["unlabeled"][0]["image"] == str(tmp_path / "u.nii.gz") and "label" not in roles["unlabeled"][0]
    assert json.loads((tmp_path / "data" / "splits.json").read_text(encoding="utf-8"))["validation"] == ["c"]
