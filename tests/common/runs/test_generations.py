import os

import pytest
import torch

from common.errors import InputError
from common.runs.checkpoint import Generations


def state(iteration, processes=1):
    return {
        "iteration": iteration,
        "processes": processes,
        "objective": {"w": torch.full((50,), float(iteration))},
        "own": {"iteration": iteration, "rank": 0},
        "settings": {},
        "data": {},
    }


@pytest.fixture
def generations(tmp_path):
    made = Generations(tmp_path / "resume.pt")
    for iteration in (2, 4, 6):
        made.write(state(iteration))
    return made


def names(generations):
    return [path.name for path in generations.found()]


def test_two_generations_are_kept(generations, tmp_path):
    assert names(generations) == ["resume.previous.pt", "resume.pt"] == sorted(p.name for p in tmp_path.iterdir())
    assert [found["iteration"] for found in generations.sound()] == [6, 4]
    found, own = generations.read()
    assert found["iteration"] == 6 and own == {"iteration": 6, "rank": 0}


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "flipped":
        content[content.index(torch.full((50,), 6.0).numpy().tobytes()) + 20] ^= 4
    sizes = {"empty": 0, "cut early": 300, "cut late": len(content) - 10}
    path.write_bytes(b"junk" * 99 if how == "junk" else content[: sizes.get(how, len(content))])


@pytest.mark.parametrize("how", ["empty", "cut early", "cut late", "flipped", "junk"])
def test_a_damaged_newest_file_is_passed_over_with_a_line(generations, tmp_path, caplog, how):
    damage(tmp_path / "resume.pt", how)
    found, own = generations.read()
    assert found["iteration"] == own["iteration"] == 4
    (line,) = caplog.messages
    assert line.startswith(f"{tmp_path / 'resume.pt'}: ") and line.endswith("; looking for the state before it")
    generations.drop_newer(4)
    assert names(generations) == ["resume.previous.pt"]
    generations.write(state(8))  # lest the sound file make way for the damaged one
    assert [found["iteration"] for found in generations.sound()] == [8, 4]


def test_a_kill_between_the_two_renames_leaves_the_previous_file(generations, tmp_path):
    os.replace(tmp_path / "resume.pt", tmp_path / "resume.previous.pt")
    assert generations.read()[0]["iteration"] == 6


def test_without_a_sound_file_there_is_one_line(generations, tmp_path):
    for path in generations.found():
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"resume\.pt: is empty .*; there is no sound state to resume from") as caught:
        generations.read()
    assert "\n" not in str(caught.value)


def test_files_of_others_are_no_generations(generations, tmp_path):
    for name in ("resume_old.pt", "resume.pt.bak", "my.resume.pt", "resume.rank1.pt"):
        (tmp_path / name).touch()
    assert sorted(names(generations)) == ["resume.previous.pt", "resume.pt", "resume.rank1.pt"]
    generations.remove()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my.resume.pt", "resume.pt.bak", "resume_old.pt"]


def test_a_state_of_an_older_version_is_named(tmp_path):
    torch.save({"objective": [], "counters": {}}, tmp_path / "resume.pt")
    with pytest.raises(InputError, match="not the state of a run, or of an older version"):
        Generations(tmp_path / "resume.pt").read()


@pytest.mark.parametrize(
    "part",
    [
        {"iteration": "4"},
        {"iteration": -5},
        {"iteration": True},
        {"processes": 0},
        {"processes": None},
        {"own": []},
        {"objective": None},
        {"objective": {"w": 1.0}},
        {"settings": [1]},
        {"data": "x"},
        {"frozen": [1]},
        {"handlers": None},
    ],
    ids=str,
)
def test_a_state_with_a_part_of_another_kind_is_passed_over(generations, part):
    torch.save({**state(9), **part}, generations.path)
    assert generations.read()[0]["iteration"] < 9
    generations.files()[1].unlink()
    with pytest.raises(InputError, match="not the state of a run, or of an older version; there is no sound state"):
        generations.read()


@pytest.mark.parametrize("name", ["settings", "data"])
def test_a_state_that_does_not_say_what_it_is_of_is_passed_over(generations, name):
    torch.save({key: value for key, value in state(9).items() if key != name}, generations.path)
    assert generations.read()[0]["iteration"] < 9


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_state_of_a_failed_training_is_passed_over_and_named(generations, caplog, value):
    torch.save({**state(9), "objective": {"w": torch.tensor([1.0, value])}}, generations.path)
    assert generations.read()[0]["iteration"] < 9
    assert f"{generations.path}: 'w' has NaN or infinite values" in caplog.text


@pytest.fixture
def as_process(monkeypatch):
    def act(number, of=2):
        monkeypatch.setattr("common.runs.checkpoint.rank", lambda: number)
        monkeypatch.setattr("common.runs.checkpoint.processes", lambda: of)

    return act


def write_pair(generations, as_process, iteration, ranks=(0, 1)):
    for number in ranks:
        as_process(number)
        generations.write({"iteration": iteration, "rank": 1} if number else state(iteration, 2))


def test_every_process_has_its_own_part_of_the_same_iteration(tmp_path, as_process):
    generations = Generations(tmp_path / "resume.pt")
    for iteration in (2, 4):
        write_pair(generations, as_process, iteration)
    write_pair(generations, as_process, 6, ranks=(0,))  # killed before the second process had saved
    for number in (0, 1):
        as_process(number)
        found, own = generations.read()
        assert found["iteration"] == 4 and own == {"iteration": 4, "rank": number}
    for number in (0, 1):
        as_process(number)
        generations.drop_newer(4)
    write_pair(generations, as_process, 6)
    as_process(1)
    assert generations.read()[1] == {"iteration": 6, "rank": 1}


def test_a_state_of_more_processes_has_no_parts_for_one(tmp_path, as_process):
    generations = Generations(tmp_path / "resume.pt")
    write_pair(generations, as_process, 2)
    as_process(0, of=1)
    found, own = generations.read()
    assert found["iteration"] == 2 and own is None
    generations.drop_others()
    assert names(generations) == ["resume.pt"]


def test_the_shared_state_counts_where_a_part_is_gone(tmp_path, as_process):
    generations = Generations(tmp_path / "resume.pt")
    write_pair(generations, as_process, 2)
    write_pair(generations, as_process, 4)
    for path in generations.files(1):
        path.unlink()
    found, own = generations.read()
    assert found["iteration"] == 4 and own is None
