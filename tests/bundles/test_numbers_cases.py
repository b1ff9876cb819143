"""Published counts of labeled, unlabeled and held-out cases against what the data set layers resolve to."""

import json

import pytest

from .built import parser
from .empty_files import WRITERS
from .test_numbers import TABLES

COUNTS = [(method, row) for method, table in TABLES.items() for row in table["cases"]]


@pytest.fixture(scope="session")
def data_of(tmp_path_factory):
    """Folder of a published data set, written once."""
    written = {}

    def folder(name):
        if name not in written:
            written[name] = tmp_path_factory.mktemp(name)
            WRITERS[name](written[name])
        return str(written[name])

    return folder


def units(config, id):
    """Patients, or cases where the patient is not known."""
    return {case.get("patient", case["case"]) for case in config.get_parsed_content(id)}


@pytest.mark.parametrize(("method", "row"), COUNTS, ids=[f"{m}-{r['layers']}-{r['data']}" for m, r in COUNTS])
def test_a_data_set_is_split_as_published(method, row, data_of, tmp_path):
    chosen = tmp_path / "chosen.yaml"
    chosen.write_text(json.dumps(row.get("options", {})), encoding="utf-8")
    command = (f"{method}_segmentation", *row["layers"].split(), str(chosen))
    options = {"dataset_dir": data_of(row["data"])}
    training = parser(*command, **options)
    evaluation = parser(*command, "evaluate", **options, split="test")
    found = [units(training, "train#dataset#data"), units(training, "train#unlabeled_dataset#cases"),
             units(training, "validate#dataset#data"), units(evaluation, "dataset#data")]  # fmt: skip
    assert [len(names) for names in found] == row["counts"], row["source"]
    assert sorted(found[0])[: len(row.get("first", ()))] == row.get("first", [])
