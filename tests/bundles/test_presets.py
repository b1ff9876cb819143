"""The presets ``official`` and ``paper``: options that exist, the values that the pages tell, and a test of each."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from common.options import check_ids
from common.transforms import RandomRotFlip
from tests.oracles.recorded import preset

from .conftest import BUNDLES
from .test_numbers import TABLES

ROOT = Path(__file__).resolve().parents[2]

LAYERS = {
    "ssnet": {"la": ["paper", "official"], "acdc": ["paper", "official_2d"]},
    "dualnet": {"la": ["paper", "official"], "pancreas": ["paper", "official"], "brats": ["paper"]},
    "sgrsnet": {data: ["paper", "official"] for data in ("la", "pancreas", "brats")},
    "synfoc": {"prostate": ["paper", "official"], "mnms": ["official"]},
    "iere": {"nci_isbi": ["paper", "official"]},
}
OF_DATA = {"official_2d": "acdc"}  # other than the first of LAYERS
TRAINED_HERE = ("ssnet", "dualnet", "sgrsnet")  # the others' presets need a SAM, and train in their own tests
COMBINATIONS = [
    (method, data, layer) for method, sets in LAYERS.items() for data, layers in sets.items() for layer in layers
]


@pytest.mark.parametrize(("method", "data", "layer"), COMBINATIONS)
def test_presets_set_options_that_exist(method, data, layer):
    configs = BUNDLES / f"{method}_segmentation" / "configs"
    names = yaml.safe_load((configs / f"{layer}.yaml").read_text(encoding="utf-8"))
    check_ids(names, [str(configs / "train.yaml")])


@pytest.mark.parametrize(("method", "data", "layer"), [c for c in COMBINATIONS if c[0] in TRAINED_HERE])
def test_presets_train_on_every_data_set(method, data, layer):
    config = preset(method, data, layer, base_channels=2)
    objective = config.get_parsed_content("objective")
    assert objective.weight(objective.TERMS[0], 1) == 1.0
    config.get_parsed_content("lr_schedulers" if method == "dualnet" else "lr_scheduler")
    assert config.get_parsed_content("train#dataloader#sample") is not None


@pytest.mark.parametrize(("data", "turned"), [("la", True), ("pancreas", False), ("brats", False)])
def test_published_patches_are_turned_on_the_data_set_where_they_were(data, turned):
    augment = preset("sgrsnet", data, "official").get_parsed_content("train#dataloader#augment")
    assert [type(transform) for transform in augment] == [RandomRotFlip] * turned
    assert all(transform.mode == "official" for transform in augment)


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def values(cell):
    """``150, 0`` and ``1: the rate falls`` as plain values; a list is one value."""
    cell = re.sub(r"\(.*?\)", "", cell)
    parts = [cell] if cell.startswith("[") else cell.split(", ")
    return [yaml.safe_load(re.sub(r"[:;].*", "", value)) for value in parts]


def told(method):
    """Option, layer and value of every cell of the page's table that names options."""
    page = (BUNDLES / f"{method}_segmentation" / "docs" / "README.md").read_text(encoding="utf-8")
    lines = page.partition("### Presets")[2].partition("\n### ")[0].splitlines()
    rows = [cells(line) for line in lines if line.startswith("|") and not line.startswith("| ---")]
    for names, *entries in rows[1:]:
        options = re.findall(r"`([\w#]+)`", re.sub(r"\(.*?\)", "", names))
        for column, entry in zip(rows[0][1:], entries, strict=True):
            found = values(entry) if entry else []
            found = found * len(options) if len(found) == 1 else found
            assert not entry or not options or len(found) == len(options), (names, entry)
            for layer in re.findall(r"default|`\w+`", column):
                yield from ((option, layer.strip("`"), value) for option, value in zip(options, found))


def resolved(method, layer):
    """The value of an option by its id, with a layer of ``LAYERS`` on its data set."""
    data = OF_DATA.get(layer, next(iter(LAYERS[method])))
    config = preset(method, data, *([] if layer == "default" else [layer]))

    def value(option):
        entry = config
        for part in option.split("#"):
            entry = entry[part]
        return config.get_parsed_content(option) if isinstance(entry, str) and entry[:1] in ("@", "$") else entry

    return value


@pytest.mark.parametrize("method", LAYERS)
def test_pages_tell_what_the_presets_set(method):
    rows = list(told(method))
    assert len(rows) > 20
    lookup = {layer: resolved(method, layer) for _, layer, _ in rows}
    for option, layer, value in rows:
        expected = pytest.approx(value) if isinstance(value, float) else value
        assert lookup[layer](option) == expected, (option, layer)


def set_by(method, layer):
    """Ids of the options that a layer sets, those inside of mappings by themselves."""
    path = BUNDLES / f"{method}_segmentation" / "configs" / f"{layer}.yaml"
    for option, value in yaml.safe_load(path.read_text(encoding="utf-8")).items():
        if isinstance(value, dict):
            yield from (f"{option}#{name}" for name in value)
        elif not option.startswith("train#"):
            yield option


@pytest.mark.parametrize("method", LAYERS)
def test_pages_tell_all_that_the_presets_change(method):
    known, default = {option for option, *_ in told(method)}, resolved(method, "default")
    for layer in {layer for layers in LAYERS[method].values() for layer in layers}:
        value = resolved(method, layer)
        changed = {option for option in set_by(method, layer) if value(option) != default(option)}
        assert changed <= known, (layer, changed - known)


@pytest.mark.parametrize("method", LAYERS)
def test_every_difference_has_a_test(method):
    """``shown_by`` of the method's numbers names, for each option of the table of its page, the test of it."""
    shown = TABLES[method]["shown_by"]
    assert {option for option, *_ in told(method)} <= set(shown)
    for option, test in shown.items():
        file, _, name = test.partition("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, (option, test)


@pytest.mark.parametrize(
    ("method", "layers"),
    [
        ("ssnet", ("official",)),
        ("ssnet", ("la_quick", "paper")),
        ("ssnet", ("ablation_supervised",)),
        ("dualnet", ("official",)),
        ("dualnet", ("official", "official_repaired")),
        ("dualnet", ("la_quick", "paper")),
        ("sgrsnet", ("official",)),
        ("sgrsnet", ("la_quick", "paper")),
    ],
)
def test_presets_run(method, layers, phantoms_3d, run_tiny):
    data = {"dataset_dir": str(phantoms_3d), "labeled": None, "validation": None, "base_channels": 4}
    alone = {"unlabeled_batch": 0} if "ablation_supervised" in layers else {}
    folder = run_tiny(f"{method}_segmentation", *layers, **data, **alone)
    rows = (folder / "history.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 3 and (folder / "model.pt").is_file()
    if "ablation_supervised" in layers:
        assert rows[0].split(",").count("supervised") == 1 and "pseudo_foreground" not in rows[0]
    if "official_repaired" in layers:
        assert {"cosine", "efs", "pgl"} <= set(rows[0].split(","))
