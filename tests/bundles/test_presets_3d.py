"""The presets ``official`` and ``paper`` of the 3D methods: options that exist, and the values that the pages tell."""

import re

import pytest
import yaml

from common.options import check_ids
from common.transforms import RandomRotFlip
from tests.oracles.recorded import preset

from .conftest import BUNDLES

LAYERS = {
    "ssnet": {"la": ["paper", "official"], "acdc": ["paper", "official_2d"]},
    "dualnet": {"la": ["paper", "official"], "pancreas": ["paper", "official"], "brats": ["paper"]},
    "sgrsnet": {data: ["paper", "official"] for data in ("la", "pancreas", "brats")},
}
COMBINATIONS = [
    (method, data, layer) for method, sets in LAYERS.items() for data, layers in sets.items() for layer in layers
]


@pytest.mark.parametrize(("method", "data", "layer"), COMBINATIONS)
def test_presets_set_options_that_exist(method, data, layer):
    configs = BUNDLES / f"{method}_segmentation" / "configs"
    names = yaml.safe_load((configs / f"{layer}.yaml").read_text(encoding="utf-8"))
    check_ids(names, [str(configs / "train.yaml")])


@pytest.mark.parametrize(("method", "data", "layer"), COMBINATIONS)
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
    """``150, 0`` and ``1: the rate falls`` as plain values."""
    return [yaml.safe_load(re.sub(r"\(.*?\)|[:;].*", "", value)) for value in cell.split(", ")]


def told(method):
    """Option, layer and value of every row of the page's table that names options."""
    page = (BUNDLES / f"{method}_segmentation" / "docs" / "README.md").read_text(encoding="utf-8")
    lines = page.partition("### Presets")[2].partition("\n## ")[0].splitlines()
    rows = [cells(line) for line in lines if line.startswith("|") and not line.startswith("| ---")]
    for names, *entries in rows[1:]:
        for column, entry in zip(rows[0][1:], entries):
            found = values(entry) if entry else []
            options = re.findall(r"`([\w#]+)`", names)
            found = found * len(options) if len(found) == 1 else found
            for layer in re.findall(r"default|`\w+`", column) if len(found) == len(options) else []:
                yield from ((option, layer.strip("`"), value) for option, value in zip(options, found))


@pytest.mark.parametrize("method", LAYERS)
def test_pages_tell_what_the_presets_set(method):
    rows = list(told(method))
    assert len(rows) > 20
    for option, layer, value in rows:
        data = "acdc" if layer.endswith("_2d") else "la"
        config = preset(method, data, *([] if layer == "default" else [layer]))
        entry = config
        for part in option.split("#"):
            entry = entry[part]
        if isinstance(entry, str) and entry.startswith(("@", "$")):
            entry = config.get_parsed_content(option)
        assert entry == (pytest.approx(value) if isinstance(value, float) else value), (option, layer)


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
