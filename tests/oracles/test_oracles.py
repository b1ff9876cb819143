"""What published code computed is reproduced, every comparison of the tables of ``<method>/comparisons.py``."""

import re
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from .recorded import Record
from .shared3d.weights import hashed

HERE = Path(__file__).resolve().parent
METHODS = ("dualnet", "iere", "sgrsnet", "ssnet", "synfoc")
TABLES = {method: import_module(f"{__package__}.{method}.comparisons").TABLE for method in METHODS}
TOPICS = [(method, topic) for method, table in TABLES.items() for topic in table.topics]


READ = {}
NO_NUMBERS = re.compile(r"memory0|prototype_is_nan")  # background has no prototypes; what is NaN there is a loss here


@cache
def rows_of(method, topic):
    return TABLES[method].topics[topic].rows(READ)


@pytest.mark.parametrize(("method", "topic"), TOPICS, ids=[f"{m}-{t}" for m, t in TOPICS])
def test_published_results_are_reproduced(method, topic):
    wrong = [row for row in rows_of(method, topic) if not row[1] <= row[2]]
    assert not wrong, wrong


def test_every_recorded_result_is_compared():
    for method, topic in TOPICS:
        rows_of(method, topic)
    for path, read in READ.items():
        results = {name for name in Record(path).names("") if name.startswith("out_")}
        assert not [name for name in results - read if not NO_NUMBERS.search(name)], path


def test_every_recording_is_compared():
    compared = {(topic.folder, topic.name) for table in TABLES.values() for topic in table.topics.values()}
    held = {(path.parent.name, path.stem.rpartition("_")[0]) for path in HERE.glob("*/*_[0-9].npz")}
    assert held == compared


def test_the_recipe_of_the_weights():
    assert hashed(3, 1).tolist() == pytest.approx([0.09806257, 0.3218496, -0.00644992], abs=1e-8)
