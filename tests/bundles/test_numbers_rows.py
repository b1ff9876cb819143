"""Rows of the papers' tables: each can be run by layers and options that exist, or says why not."""

import pytest

from tools.run import configuration

from .test_numbers import TABLES

ROWS = {method: table["rows"] for method, table in TABLES.items() if "rows" in table}


def test_every_paper_has_its_rows():
    assert set(ROWS) == {"dualnet", "iere", "sgrsnet", "ssnet", "synfoc"}
    for rows in ROWS.values():
        names = [row["at"] for row in rows]
        assert all(row.get("why") or row.get("layers") for row in rows)
        assert len({(row["at"], row.get("layers")) for row in rows}) == len(names)


@pytest.mark.parametrize("method", ROWS)
def test_a_row_is_a_run_of_layers_and_options_that_exist(method):
    commands = {}
    for row in ROWS[method]:
        if "why" not in row:
            bundle, options = row.get("bundle", method), row.get("options", {})
            commands[bundle, row["layers"], tuple(sorted(options))] = options  # one of each kind: values are typed
    for (bundle, layers, names), options in commands.items():
        asked = configuration(f"{bundle}_segmentation", layers.split(), {"dataset_dir": ".", **options})
        assert {name.replace("#", "::") for name in names} <= set(asked.options)


@pytest.mark.parametrize("method", ROWS)
def test_every_ablation_layer_is_of_a_row(method):
    layers = {name for group in TABLES[method]["layers"] for name in group.split() if name.startswith("ablation")}
    named = {name for row in ROWS[method] for name in row.get("layers", "").split()}
    assert layers <= named
