"""SynFoC: what its data sets' layers say holds in evaluation and inference."""

import json

import pytest
from monai.bundle import ConfigParser
from PIL import Image

from common.data import Phantom, write_phantom_domains
from common.options.context import Configuration
from common.runs.settings import Settings
from tests.downloads import WRITERS
from tools.draw import draw

from .built import parser
from .conftest import BUNDLES

NAMES = ["prostate", "fundus", "mnms", "busi", "busi_quick", "busi_draws", "acdc", "mscmr"]
SMALL = {"sam#kind": "none", "base_channels": 4}


def measured(tmp_path, split):
    summary = json.loads((tmp_path / split / "summary.json").read_text(encoding="utf-8"))
    return summary["cases"], set(summary["domains"])


def test_the_short_configuration_holds_images_of_every_domain_out(run_tiny, tmp_path):
    data = write_phantom_domains(tmp_path / "data", Phantom((40, 36)), domains=2, train=4, validation=0)
    draw(str(data), "domain_lists", draws=1, development=1, report=1)
    options = {"labeled": 2, "encoding": "index", "labeled_domain": "site_0"}
    run_tiny("synfoc_segmentation", "busi_quick", dataset_dir=str(data), **options, **SMALL)
    run_tiny("synfoc_segmentation", "evaluate", split="validation")
    assert measured(tmp_path, "validation") == (2, {"site_0", "site_1"})
    run_tiny("synfoc_segmentation", "evaluate", split="validation", statistics="all")
    assert measured(tmp_path / "all", "validation") == (2, {"site_0", "site_1"})
    about = [json.loads((tmp_path / where / "summary.json").read_text()) for where in ("validation", "all/validation")]
    assert [(row["statistics"], row["checkpoint"]) for row in about] == [("trained", "model.pt"), ("all", "model.pt")]


def test_masks_are_compared_at_the_size_asked_for(run_tiny, tmp_path):
    data = WRITERS["prostate"](tmp_path / "data") / "ProstateSlice"
    run_tiny("synfoc_segmentation", "prostate", dataset_dir=str(data), labeled=2, **SMALL)
    run_tiny("synfoc_segmentation", "evaluate", split="test", metric_size=[16, 16])
    assert measured(tmp_path, "test") == (12, {"BIDMC", "BMC", "HK", "I2CVB", "RUNMC", "UCL"})


def test_sequences_in_folders_train_as_they_are(run_tiny, tmp_path):
    data = WRITERS["mscmr_folders"](tmp_path / "data") / "MS-CMRSeg"
    options = {"layout": "mscmr", "encoding": "mscmr", **SMALL}
    run_tiny("synfoc_segmentation", "mscmr", dataset_dir=str(data), **options)
    run_tiny("synfoc_segmentation", "evaluate", split="test")
    assert measured(tmp_path, "test") == (4, {"C0", "LGE"})


@pytest.mark.parametrize("name", [*NAMES, "demo"])
@pytest.mark.parametrize("command", ["inference", "evaluate"])
@pytest.mark.parametrize("told_by", ["layers", "settings"])
def test_weights_are_used_as_their_data_set_says(told_by, command, name, tmp_path):
    layer = ConfigParser.load_config_file(BUNDLES / "synfoc_segmentation" / "configs" / f"{name}.yaml")
    layers, options = [name], {"sam#kind": "none"}
    if told_by == "settings":
        Settings.of(Configuration.of(parser("synfoc_segmentation", *layers, **options))).write(tmp_path)
        layers, options = [], {}
    config = parser("synfoc_segmentation", command, *layers, checkpoint=str(tmp_path), **options)
    trained = config.get_parsed_content("trained")
    for id, value in layer.items():
        option, *key = id.split("#")
        if option != "dataset_dir" and id != "sam#checkpoint":  # the parser's own
            assert (trained[option][key[0]] if key else trained[option]) == value, id
            known = option in config.get() and (not key or key[0] in config.get(option))
            assert not known or config.get_parsed_content(id) == value, id
    assert config.get_parsed_content("inferer").size == tuple(layer["patch_size"])
    preprocessing, datalist = (trained.literal(id) for id in ("preprocessing", "datalist"))
    assert preprocessing["encoding"] == layer.get("encoding", "binary")
    assert preprocessing["in_channels"] == layer.get("in_channels", 1)
    assert datalist["layout"] == layer["layout"]


def test_weights_of_the_published_choices_segment_images_at_their_own_size(phantoms_2d, run_tiny, tmp_path):
    """Though masks were compared at the size of the network."""
    options = {"dataset_dir": str(phantoms_2d), "labeled": 2, "base_channels": 4}
    run_tiny("synfoc_segmentation", "official", **options)
    assert Settings.read(tmp_path / "settings.json")["metric_size"] == [64, 64]
    images, out = phantoms_2d / "site_0" / "images", tmp_path / "out"
    run_tiny("synfoc_segmentation", "inference", inputs=str(images), output_dir=str(out), checkpoint=str(tmp_path))
    for image in images.iterdir():
        assert Image.open(out / image.name).size == Image.open(image).size
