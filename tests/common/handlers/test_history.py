import csv

import pytest
import torch
from ignite.engine import Engine

from common.errors import InputError
from common.handlers import History


def run(path, values, epoch_length=2, start=0, epochs=None):
    """Run an engine whose iteration ``t`` (from 1) outputs ``values[t - 1]``, from iteration ``start`` on."""
    engine = Engine(lambda engine, batch: values[engine.state.iteration - 1])
    history = History(path)
    if start:
        engine.state.iteration, engine.state.epoch = start, start // epoch_length
        engine.state.max_epochs, engine.state.epoch_length = len(values) // epoch_length, epoch_length
    history.attach(engine)
    engine.run(range(epoch_length), max_epochs=len(values) // epoch_length)
    return history


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def outputs(*losses):
    return [{"loss": torch.tensor(loss), "share": torch.tensor(loss / 10)} for loss in losses]


def test_rows_hold_the_averages_of_each_epoch(tmp_path):
    run(tmp_path / "h.csv", outputs(1.0, 3.0, 10.0, 20.0))
    rows = read(tmp_path / "h.csv")
    assert list(rows[0]) == ["iteration", "seconds_per_step", "loss", "share"]
    assert [row["iteration"] for row in rows] == ["2", "4"]
    assert [float(row["loss"]) for row in rows] == [2, 15]
    assert [float(row["share"]) for row in rows] == pytest.approx([0.2, 1.5])
    assert all(float(row["seconds_per_step"]) >= 0 for row in rows)


def test_rows_are_on_disk_after_every_epoch_and_in_the_log(tmp_path, caplog):
    caplog.set_level("INFO", logger="History")
    run(tmp_path / "deep" / "h.csv", outputs(1.0, 3.0))
    assert len(read(tmp_path / "deep" / "h.csv")) == 1
    assert "iteration 2" in caplog.text
    assert "loss 2" in caplog.text


def test_scalars_that_appear_later_get_a_column(tmp_path):
    values = outputs(1.0, 1.0, 1.0, 1.0)
    values[2]["late"] = values[3]["late"] = torch.tensor(4.0)
    run(tmp_path / "h.csv", values)
    rows = read(tmp_path / "h.csv")
    assert [row["late"] for row in rows] == ["", "4"]


def test_a_fresh_run_starts_a_new_file(tmp_path):
    run(tmp_path / "h.csv", outputs(1.0, 1.0, 1.0, 1.0))
    run(tmp_path / "h.csv", outputs(5.0, 5.0))
    assert [row["loss"] for row in read(tmp_path / "h.csv")] == ["5"]


def test_a_resumed_run_keeps_the_rows_before_it_and_drops_those_after(tmp_path):
    run(tmp_path / "h.csv", outputs(1.0, 1.0, 2.0, 2.0, 3.0, 3.0))
    run(tmp_path / "h.csv", outputs(0.0, 0.0, 0.0, 0.0, 9.0, 9.0), start=4)
    assert [(row["iteration"], row["loss"]) for row in read(tmp_path / "h.csv")] == [("2", "1"), ("4", "2"), ("6", "9")]


@pytest.mark.parametrize(
    "iteration",
    [999_998, 1_234_568],
)
def test_iterations_are_written_as_whole_numbers(tmp_path, iteration):
    engine = Engine(lambda engine, batch: None)
    history = History(tmp_path / "h.csv")
    engine.state.iteration, engine.state.epoch_length, engine.state.output = iteration, 1, {"loss": torch.tensor(1.0)}
    history.reset(engine)
    history.add(engine)
    history.write(engine)
    assert read(tmp_path / "h.csv")[0]["iteration"] == str(iteration)
    resumed = History(tmp_path / "h.csv")
    resumed.recall(engine)
    assert len(resumed.rows) == 1


@pytest.mark.parametrize(
    "content", [b"", b"case\na\n", b"iteration,loss\nmany,1\n", b"iteration\n2,1,1\n", b"\xff\xfe"]
)
def test_a_torn_table_is_told_by_its_name(tmp_path, content):
    (tmp_path / "h.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"h\.csv"):
        run(tmp_path / "h.csv", outputs(1.0, 3.0, 10.0, 20.0), start=2)
