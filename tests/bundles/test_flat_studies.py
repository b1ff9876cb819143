"""Training of every 2D bundle as MONAI Label starts it: cases from the server, unlabeled ones from its folder."""

import csv

import pytest
from monai.bundle import ConfigParser

from .conftest import BUNDLES
from .test_flat_inference import NAMES

STAGES = {"iere_segmentation": {"pretrain#steps": 1}}  # half of the run


@pytest.fixture(params=NAMES)
def train(request, phantoms_2d, run_tiny, tmp_path):
    """Train on one labeled picture and on what else is in the studies folder; returns rows of the history."""
    site = phantoms_2d / "site_0"
    name = sorted(path.name for path in (site / "images").iterdir())[0]
    case = {"image": str(site / "images" / name), "label": str(site / "masks" / name)}

    def call(*more, **options):
        for folder in ("studies", "empty"):
            (tmp_path / folder).mkdir(exist_ok=True)
        for path in (case["image"], *more):
            link = tmp_path / "studies" / str(path).rpartition("/")[2]
            if not link.exists():
                link.symlink_to(path)
        settings = {"train#dataset#data": [case], "train#trainer#max_epochs": 4, "validate#dataset#data": []}
        settings |= {"studies": str(tmp_path / "studies"), "dataset_dir": str(tmp_path / "empty"), "base_channels": 4}
        run_tiny(request.param, **settings, **STAGES.get(request.param, {}), **options)
        with open(tmp_path / "history.csv", encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    return call


def test_what_the_server_does_not_label_is_unlabeled(train, phantoms_2d, capsys):
    rows = train(*sorted((phantoms_2d / "site_1" / "images").iterdir())[1:3])
    assert "1 labeled and 2 unlabeled samples" in capsys.readouterr().out
    assert len(rows) == 4 and float(rows[-1].get("bcp") or rows[-1].get("pseudo_unet")) > 0


def test_without_unlabeled_pictures_training_is_supervised(train, capsys):
    rows = train()
    assert "training on the labeled ones alone" in capsys.readouterr().out
    assert len(rows) == 4 and not {"bcp", "pseudo_unet"} & set(rows[-1])


@pytest.mark.parametrize(
    ("name", "epochs", "key", "length"),
    [("iere_segmentation", 326, "$@pretrain_steps", 2000), ("synfoc_segmentation", 30, "$@ramp.length", 3000)],
)
def test_schedules_stretch_to_the_epochs_that_the_server_asks_for(name, epochs, key, length):
    config = ConfigParser()
    config.read_config(str(BUNDLES / name / "configs" / "train.yaml"))
    config["train#trainer#max_epochs"] = epochs  # twice and a tenth of the usual number
    config["length"] = key
    assert config.get_parsed_content("length") == length
