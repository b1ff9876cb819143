"""Published counts of labeled, unlabeled and held-out cases against what the data set layers resolve to."""

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
def test_a_data_set_is_split_as_published(method, row, data_of):
    bundle, layers = f"{method}_segmentation", row["layers"].split()
    options = {"dataset_dir": data_of(row["data"]), **row.get("options", {})}
    training = parser(bundle, *layers, **options)
    ids = {"labeled": "train#dataset#data", "unlabeled": "train#unlabeled_dataset#cases", "validation":
           "validate#dataset#data"}  # fmt: skip
    found = {role: units(training, id) for role, id in ids.items()}
    found["test"] = units(
        parser(bundle, *layers, "evaluate", **options, split="test", ckpt_dir="no/such/run"), "dataset#data"
    )
    assert [len(found[role]) for role in ("labeled", "unlabeled", "validation", "test")] == row["counts"], row["source"]
    assert sorted(found["labeled"])[: len(row.get("first", ()))] == row.get("first", [])
