"""Both ways of every contest agree; nothing here looks at times."""

import json

import pytest
import torch

from common.errors import InputError
from tools.benchmark import benchmark, command
from tools.benchmark.command import compare, difference
from tools.benchmark.contests import CONTESTS, Contest

TINY = {
    "separation": {"rows": 20, "prototypes": 3, "dim": 4},
    "attention": {"grid": 3, "width": 8, "heads": 2},
    "boxes": {"images": 2, "size": 64, "arch": "tiny"},
    "embeddings": {"images": 2, "size": 64, "arch": "tiny"},
    "patches": {"shape": (9, 7, 6), "size": (4, 4, 3), "batch": 12},
    "windows": {"shape": (32, 20, 16), "window": (16, 16, 16), "channels": 2},
    "precision": {"shape": (32, 20, 16), "window": (16, 16, 16), "channels": 2},
    "layout": {"size": (16, 16, 16), "channels": 2},
    "surfaces": {"shape": (9, 8, 7)},
}


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(command, "LEAST", 0.0)
    monkeypatch.setattr(command, "CONTESTS", {name: tiny(function, TINY[name]) for name, function in CONTESTS.items()})


def tiny(function, sizes):
    def contest(device):
        """Tiny."""
        return function(device, **sizes)

    return contest


@pytest.mark.parametrize("name", CONTESTS)
def test_both_ways_agree(name):
    contest = CONTESTS[name]("cpu", **TINY[name])
    assert difference(contest.reference(), contest.ours()) <= contest.tolerance


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", CONTESTS)
def test_both_ways_agree_on_a_gpu(name):
    contest = CONTESTS[name]("cuda", **TINY[name])
    assert difference(contest.reference(), contest.ours()) <= max(contest.tolerance, 1e-3)


def test_the_command_prints_and_writes_what_it_ran(quick, tmp_path, capsys):
    benchmark("patches", "surfaces", rounds=2, output=str(tmp_path / "out.json"))
    text = capsys.readouterr().out
    content = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert {"hardware", "threads", "torch"} <= set(content["machine"]) and content["machine"]["hardware"] in text
    assert [row["contest"] for row in content["contests"]] == ["patches", "surfaces"]
    for row in content["contests"]:
        low, high = row["quartiles"]
        assert 0 < low <= row["ratio"] <= high and row["seconds"] > 0
        assert f"| {row['contest']} | Tiny. | {row['input']} |" in text


def test_different_results_are_not_timed(quick, tmp_path, monkeypatch, capsys):
    def wrong(device):
        """Wrong."""
        return Contest("a number", lambda: [torch.tensor(1.0)], lambda: [torch.tensor(1.1)])

    monkeypatch.setitem(command.CONTESTS, "wrong", wrong)
    with pytest.raises(SystemExit, match="different results, so not timed: wrong"):
        benchmark("wrong", "surfaces", rounds=1, output=str(tmp_path / "out.json"))
    assert "| not comparable |" in capsys.readouterr().out
    rows = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["contests"]
    assert "ratio" not in rows[0] and "ratio" in rows[1]


def test_both_ways_take_turns():
    calls = []
    contest = Contest("", lambda: [calls.append("slow") or 1], lambda: [calls.append("fast") or 1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "LEAST", 0.0)
        compare(contest, rounds=3)
    assert calls == ["slow", "fast"] * 4


def test_differences():
    one = torch.tensor([4.0, 0.0])
    assert difference([one], [one]) == 0
    assert difference([one, 1.0], [one, 1.5]) == 0.5
    assert difference([one], [torch.tensor([4.0, 1.0])]) == 0.25
    assert difference([one], [one[None]]) == float("inf")
    assert difference([torch.zeros(2)], [one]) == 4
    assert not difference([one], [one * float("nan")]) <= 1


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (["nothing"], {}, "nothing: no such contest; there are separation, "),
        ([], {"rounds": 0}, "rounds=0: at least 1"),
    ],
)
def test_wrong_options_are_named(arguments, options, message):
    with pytest.raises(InputError, match=message):
        benchmark(*arguments, **options)
