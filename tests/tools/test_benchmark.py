"""All ways of every contest agree; nothing here looks at times."""

import json
import math
import subprocess
import sys

import pytest
import torch

from common.errors import InputError
from tools.benchmark import benchmark, command, scaling
from tools.benchmark.command import CONTESTS, compare, difference
from tools.benchmark.contest import Contest
from tools.benchmark.memory import kept_bytes
from tools.benchmark.private import PeakMemory, private_bytes

SMALL_NET = {"shape": (32, 20, 16), "window": (16, 16, 16), "channels": 2, "stride": (8, 8, 4)}
TINY: dict[str, dict] = {
    "separation": {"rows": 20, "prototypes": 3, "dim": 4},
    "attention": {"grid": 3, "width": 8, "heads": 2},
    "boxes": {"images": 2, "size": 64, "arch": "tiny"},
    "embeddings": {"images": 2, "size": 64, "arch": "tiny"},
    "patches": {"shape": (9, 7, 6), "size": (4, 4, 3), "batch": 12},
    "loader": {"shape": (9, 8, 6), "size": (4, 4, 3), "cases": 4},
    "windows": SMALL_NET,
    "precision": SMALL_NET,
    "volume": SMALL_NET,
    "fast": SMALL_NET,
    "layout": {"size": (16, 16, 16), "channels": 2},
    "surfaces": {"shape": (9, 8, 7)},
    "ssnet": {"patch": (32, 32, 16), "channels": 4},
    "ssnet_default": {"patch": (32, 32, 16), "channels": 4},
    "ssnet_main_pass": {"patch": (32, 32, 16), "channels": 4},
    "ssnet_fast": {"patch": (32, 32, 32), "channels": 4},
    "heads": {"patch": (16, 16, 16), "channels": 4},
    "help": {},
}
OTHER_RESULTS = {"fast", "ssnet_default", "ssnet_main_pass", "ssnet_fast"}


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(command, "LEAST", 0.0)
    monkeypatch.setattr(command, "CONTESTS", {name: tiny(function, TINY[name]) for name, function in CONTESTS.items()})


def tiny(function, sizes):
    def contest(device):
        """Tiny."""
        return function(device, **sizes)

    return contest


def fixed(cost, tolerance=1e-5, monai=None):
    """A contest of bytes whose reference costs so much for each byte of ours."""

    def contest(device):
        """Fixed."""
        others = None if monai is None else lambda: [1.0, monai]
        return Contest("a number", lambda: [1.0, cost], lambda: [1.0, 1.0], tolerance, others, bytes=True)

    return contest


def results(contest):
    found = {name: way() for name, way in contest.ways.items()}
    return {name: result[:-1] for name, result in found.items()} if contest.bytes else found


@pytest.mark.parametrize("name", CONTESTS)
def test_all_ways_agree(name):
    torch.manual_seed(0)
    contest = CONTESTS[name]("cpu", **TINY[name])
    assert (contest.tolerance == math.inf) == (name in OTHER_RESULTS)
    found = results(contest)
    for result in found.values():
        assert difference(found["reference"], result) <= contest.tolerance


@pytest.mark.parametrize("name", sorted({"windows", "loader"}))
def test_stock_classes_take_part(name):
    assert CONTESTS[name]("cpu", **TINY[name]).monai is not None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", CONTESTS)
def test_all_ways_agree_on_a_gpu(name, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # its 10 bits would hide what differs
    contest = CONTESTS[name]("cuda", **TINY[name])
    found = results(contest)
    assert all(difference(found["reference"], r) <= max(contest.tolerance, 1e-3) for r in found.values())


def test_the_supervised_part_is_the_same_in_every_step():
    for name in ("ssnet", "ssnet_default", "ssnet_main_pass", "ssnet_fast"):
        torch.manual_seed(0)
        contest = CONTESTS[name]("cpu", **TINY[name], amp=False)
        _, supervised, _ = contest.reference()
        assert contest.ours()[1].item() == pytest.approx(supervised.item(), abs=1e-5)


def test_heads_keep_less():
    contest = CONTESTS["heads"]("cpu", patch=(32, 16, 16))
    assert contest.reference()[-1] > 5 * contest.ours()[-1] > 0


def test_kept_bytes_count_each_piece_of_memory_once():
    x = torch.ones(1000, requires_grad=True)
    assert kept_bytes(lambda: x.exp()) == 4000  # its result
    assert kept_bytes(lambda: (x * x).view(10, 100).sum()) == 4000


def test_the_command_prints_and_writes_what_it_ran(quick, tmp_path, capsys):
    benchmark("patches", "surfaces", "memory", rounds=2, output=str(tmp_path / "out.json"))
    text = capsys.readouterr().out
    content = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert {"hardware", "threads", "torch"} <= set(content["machine"]) and content["machine"]["hardware"] in text
    assert [row["contest"] for row in content["contests"]] == ["heads", "patches", "surfaces"]
    for row in content["contests"]:
        reference, ours = row["ways"]["reference"], row["ways"]["ours"]
        low, high = reference["quartiles"]
        assert 0 < low <= reference["ratio"] <= high and ours["cost"] > 0
        assert f"| {row['contest']} | Tiny. | {row['input']} |" in text
    assert " MiB " in text and " ms " in text


def test_different_results_are_not_timed(quick, tmp_path, monkeypatch, capsys):
    def wrong(device):
        """Wrong."""
        return Contest("a number", lambda: [torch.tensor(1.0)], lambda: [torch.tensor(1.1)])

    monkeypatch.setitem(command.CONTESTS, "wrong", wrong)
    with pytest.raises(SystemExit, match="different results, so not timed: wrong"):
        benchmark("wrong", "heads", rounds=1, output=str(tmp_path / "out.json"))
    assert "| not comparable |" in capsys.readouterr().out
    rows = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["contests"]
    assert "ways" not in rows[0] and "ways" in rows[1]


@pytest.mark.parametrize(("cost", "monai", "slower"), [(0.5, None, "reference"), (2.0, 0.9, "MONAI")])
def test_a_default_that_is_slower_than_another_way_is_a_failure(quick, monkeypatch, capsys, cost, monai, slower):
    monkeypatch.setitem(command.CONTESTS, "slow", fixed(cost, monai=monai))
    with pytest.raises(SystemExit, match=rf"slower here than the way in brackets: slow \({slower}\)$"):
        benchmark("slow", rounds=1)
    monkeypatch.setitem(command.CONTESTS, "slow", fixed(1.5, monai=1.2))
    benchmark("slow", rounds=1)


def test_all_ways_take_turns():
    calls = []
    contest = Contest("", *(lambda name=name: [calls.append(name) or 1] for name in ("slow", "fast")))
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


def squares(size, device):
    """numbers that are squared"""
    return lambda: 3.0 * size**2


def test_scaling_fits_a_power_and_a_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(scaling, "GROWTHS", {squares: (10, 20, 40)})
    monkeypatch.setattr(scaling, "_apart", lambda function, *arguments: function(*arguments))
    benchmark("scaling", output=str(tmp_path / "out.json"))
    assert "| numbers that are squared | 10, 20, 40 | 300.000, 1200.000, 4800.000 | 2.00 |" in capsys.readouterr().out
    (row,) = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["scaling"]
    assert row["exponent"] == pytest.approx(2) and list(row["bytes"]) == ["10", "20", "40"]


@pytest.mark.parametrize("growth", [scaling.volume, scaling.classes, scaling.batch])
def test_every_growth_can_be_run(monkeypatch, growth):
    monkeypatch.setattr(scaling, "WINDOW", (16, 16, 16))
    assert growth(16**3 if growth is scaling.volume else 2, "cpu")() > 0


def test_a_data_set_grows_in_a_process_of_its_own():
    seconds, memory = scaling._apart(scaling._grown, scaling.unlabeled, 2, "cpu", 1)
    assert 0 < seconds < 60 and 0 <= memory < 2**28


def test_memory_of_processes_that_were_started_counts_and_shared_memory_does_not():
    hold = "import mmap; own = bytearray(2**28); mmap.mmap(-1, 2**28).write(own); print(flush=True); input()"
    with PeakMemory() as memory:
        child = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        child.stdout.readline()
        held = private_bytes()
        child.communicate(b"\n", timeout=60)
    for most in (memory.most, held):
        assert 2**28 < most - memory.before < 1.5 * 2**28
    assert private_bytes() < held - 0.9 * 2**28


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (["nothing"], {}, "nothing: no such group or contest; there are inference, "),
        ([], {"rounds": 0}, "--rounds 0: expected a whole number of at least 1"),
    ],
)
def test_wrong_options_are_named(arguments, options, message):
    with pytest.raises(InputError, match=message):
        benchmark(*arguments, **options)
