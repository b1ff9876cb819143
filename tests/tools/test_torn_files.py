"""Files that an earlier step wrote, or that lie with the data, torn or of another kind: a line that names the file."""

import pytest

from common.errors import InputError
from common.metrics import Calibration
from common.runs import Settings
from common.runs.record import read_record
from tools import fit, pooled, report, results
from tools.experiment.job import is_trained
from tools.prepare.runner import Manifest
from tools.release.archive import read_model_info
from tools.release.description import class_names
from tools.release.figures import figures_of, read_summary

READERS = {
    "settings.json": lambda folder: Settings.read(folder / "settings.json"),
    "record.json": read_record,
    "expected_dice.json": Calibration.beside,
    "summary.json": lambda folder: figures_of(folder / "summary.json"),
    "some.json": lambda folder: read_summary(folder / "some.json", "la"),
    "fit.json": lambda folder: fit._state(folder, {"method": "x"}),
    "manifest.json": lambda folder: Manifest(folder, {"dataset": "folder"}),
    "model_info.json": lambda folder: read_model_info(folder / "model_info.json"),
    "dataset.json": lambda folder: class_names({"dataset_dir": str(folder), "num_classes": 2}),
    "results.json": lambda folder: results.read_record(folder / "results.json"),
}
TORN = {
    "cut": b'{"mean": {"dice": 0.',
    "empty": b"",
    "number": b"5",
    "deep": b"[" * 100_000,
    "binary": bytes(range(256)),
    "numbers": b"[1, 2]",
}


@pytest.mark.parametrize("content", TORN.values(), ids=TORN)
@pytest.mark.parametrize("name", READERS)
def test_a_torn_file_is_told_by_its_name(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as told:
        READERS[name](tmp_path)
    assert str(tmp_path / name) in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("settings.json", '{"format": 1, "options": {}, "components": [], "configuration": {}}'),
        ("settings.json", '{"format": 1, "options": 5, "components": {}, "configuration": {}}'),
        ("settings.json", '{"format": 1, "options": {}, "components": {"network_def": 5}, "configuration": {}}'),
        ("settings.json", '{"format": 1}'),
        ("settings.json", '{"format": [1], "options": {}, "components": {}, "configuration": {}}'),
        ("expected_dice.json", '{"slope": "x"}'),
        ("summary.json", '{"mean": {"dice": "x"}, "std": {}}'),
        ("summary.json", '{"mean": null, "std": null}'),
        ("manifest.json", '{"settings": {"dataset": "folder"}, "cases": [1]}'),
        ("manifest.json", '{"settings": {"dataset": "folder"}, "cases": {"a": 1}}'),
        ("results.json", "[[1]]"),
    ],
)
def test_so_is_one_that_holds_something_else(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=name):
        READERS[name](tmp_path)


@pytest.mark.parametrize("content", [b"", b"case,class,dice\na,1,0.5\n", b"case\n", bytes(range(256))])
def test_a_torn_table_of_an_evaluation_is_told(tmp_path, content):
    (tmp_path / "metrics.csv").write_bytes(content)
    with pytest.raises(InputError, match="metrics.csv"):
        pooled.read_rows(tmp_path)


def test_a_torn_history_is_told(tmp_path):
    (tmp_path / "history.csv").write_text("iteration,seconds_per_step,loss\n1,0.5,0.1\n2,0.5,mu", encoding="utf-8")
    with pytest.raises(InputError, match="history.csv, row 2: loss 'mu' is no number"):
        report._history(tmp_path / "history.csv")


def test_a_torn_record_of_a_run_of_an_experiment_is_told(tmp_path):
    (tmp_path / "record.json").write_text('{"finished"', encoding="utf-8")
    with pytest.raises(InputError, match="record.json: not valid JSON"):
        is_trained(tmp_path)
