"""Published hyper-parameters against what the configurations of every bundle resolve to."""

import json
from pathlib import Path

import pytest
import yaml
from monai.bundle import ConfigParser

from .built import Built
from .conftest import BUNDLES
from .quantities import READERS, SIZED, TABLED

FOLDER = Path(__file__).parent / "published"
TABLES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}
GROUPS = [(method, layers) for method, table in TABLES.items() for layers in table["layers"]]
OF_THE_MACHINE = {"train", "inference", "evaluate", "multi_gpu_train"}


def differs(found, expected):
    """Whether a value is not the table's, which gives four digits of a fraction."""
    if isinstance(expected, dict):
        return not isinstance(found, dict) or set(map(str, found)) != set(expected) or any(
            differs(found[key], expected[key]) for key in found
        )  # fmt: skip
    if isinstance(expected, list):
        return not isinstance(found, list | tuple) or len(found) != len(expected) or any(map(differs, found, expected))
    if isinstance(expected, float) and isinstance(found, int | float):
        return found != pytest.approx(expected, rel=5e-4)
    return found != expected or isinstance(found, bool) != isinstance(expected, bool)


@pytest.mark.parametrize(("method", "layers"), GROUPS, ids=[f"{m}-{g or 'default'}" for m, g in GROUPS])
def test_a_configuration_resolves_to_the_published_numbers(method, layers):
    table = TABLES[method]["layers"][layers]
    small = not SIZED & set(table) and "base_channels" not in table.get("options", [()])[0]
    built = Built(f"{method}_segmentation", *layers.split(), small=small)
    wrong = {}
    for quantity, (expected, source) in table.items():
        found = TABLED[quantity](built, expected) if quantity in TABLED else READERS[quantity](built)
        if differs(found, expected):
            wrong[quantity] = f"{found}, not {expected} ({source})"
    assert not wrong


@pytest.mark.parametrize("bundle", sorted(path.name for path in BUNDLES.iterdir() if (path / "configs").is_dir()))
def test_every_layer_has_its_numbers(bundle):
    layers = {path.stem for path in (BUNDLES / bundle / "configs").glob("*.yaml")}
    known = {name for group in TABLES[bundle.removesuffix("_segmentation")]["layers"] for name in group.split()}
    assert layers - OF_THE_MACHINE - {"fair"} == known  # test_fair looks at that one


def test_every_number_has_a_source():
    for table in TABLES.values():
        entries = [entry for group in table["layers"].values() for entry in group.values()]
        assert table["source"] and all(len(entry) == 2 and entry[1].strip() for entry in entries)


@pytest.mark.parametrize("bundle", sorted(path.name for path in BUNDLES.iterdir() if (path / "configs").is_dir()))
def test_a_run_starts_afresh_in_a_free_folder_and_shows_what_it_does(bundle):
    options = yaml.safe_load((BUNDLES / bundle / "configs" / "train.yaml").read_text(encoding="utf-8"))
    told = {name: options[name] for name in ("resume", "overwrite", "progress", "check_every", "amp")}
    assert told == {"resume": False, "overwrite": False, "progress": True, "check_every": 1, "amp": "auto"}


@pytest.mark.parametrize("bundle", sorted(path.name for path in BUNDLES.iterdir() if (path / "configs").is_dir()))
def test_inference_adds_nothing_that_was_not_asked_for(bundle):
    options = yaml.safe_load((BUNDLES / bundle / "configs" / "inference.yaml").read_text(encoding="utf-8"))
    told = {
        name: options[name]
        for name in (
            "largest_component",
            "uncertainty",
            "dicom_seg",
            "class_names",
            "amp",
            "overwrite",
            "probabilities",
        )
    }
    off = ("largest_component", "dicom_seg", "overwrite", "probabilities")
    assert told == {**dict.fromkeys(off, False), "uncertainty": None,
                    "class_names": None, "amp": "auto"}  # fmt: skip
    assert options.get("stride_factor", 1) == 1 and not options["displayable_configs"]["uncertainty_map"]


@pytest.mark.parametrize("bundle", sorted(path.name for path in BUNDLES.iterdir() if (path / "configs").is_dir()))
def test_the_layer_of_several_processes_insists_on_them(bundle, monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    text = (BUNDLES / bundle / "configs" / "multi_gpu_train.yaml").read_text(encoding="utf-8")
    with pytest.raises(RuntimeError) as caught:
        ConfigParser({"seed": 0, **yaml.safe_load(text)}).get_parsed_content("initialize")
    assert "start it by torchrun" in str(caught.value.__cause__)


@pytest.mark.parametrize("bundle", sorted(path.name for path in BUNDLES.iterdir() if (path / "configs").is_dir()))
def test_a_validation_follows_so_many_epochs(bundle):
    handlers = yaml.safe_load((BUNDLES / bundle / "configs" / "train.yaml").read_text(encoding="utf-8"))["train"]
    (validation,) = [handler for handler in handlers["handlers"] if handler["_target_"] == "ValidationHandler"]
    assert validation["epoch_level"] is True and validation["interval"] == "@val_interval"


@pytest.mark.parametrize("path", sorted(BUNDLES.glob("*/configs/demo.yaml")), ids=lambda path: path.parts[-3])
def test_windows_of_a_demo_overlap_by_half(path):
    options = yaml.safe_load(path.read_text(encoding="utf-8"))
    for stride in (options.get(name) for name in ("stride", "test_stride") if name in options):
        assert [2 * step for step in stride] == options["patch_size"]
