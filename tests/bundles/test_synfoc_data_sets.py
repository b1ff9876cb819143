"""SynFoC: every data set trains, is evaluated and is segmented in its own layout."""

import json
from itertools import product

import h5py
import nibabel
import numpy as np
import pytest
from monai.bundle import ConfigParser
from PIL import Image

from common.data import Phantom, write_phantom_domains
from common.options.context import Configuration
from common.runs.settings import Settings

from .built import parser
from .conftest import BUNDLES


def picture(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path)


def write_split_folders(root, domains, codes, inner=""):
    """Images whose mask is a square of every foreground code on the background's, the last."""
    for domain in domains:
        for split in ("train", "test"):
            for n in range(4):
                folder = root / domain / split / inner
                grey = np.random.default_rng(n).integers(0, 256, (40, 36))
                mask = np.full((40, 36) + np.shape(codes[-1]), codes[-1])
                for k, code in enumerate(codes[:-1]):
                    mask[5 + 8 * k : 12 + 8 * k, 6:20] = code
                picture(folder / "image" / f"00000{n}.png", np.repeat(grey[..., None], 3, 2) if inner else grey)
                picture(folder / "mask" / f"00000{n}.png", mask)


def write_busi(root):
    for domain in ("benign", "malignant"):
        for n in range(1, 6):
            picture(root / domain / f"{domain} ({n}).png", np.full((40, 36, 3), 20 * n))
            mask = np.zeros((40, 36))
            mask[4:20, 4:20] = 255
            picture(root / domain / f"{domain} ({n})_mask.png", mask)
            picture(root / domain / f"{domain} ({n})_mask_1.png", mask.T[:36].repeat(2, 0)[:40, :36])


def write_acdc(root):
    (root / "data" / "slices").mkdir(parents=True)
    slices = [f"patient00{p}_frame01_slice_{z}" for p in (1, 2, 3) for z in (1, 2)]
    for name in [*(f"slices/{s}" for s in slices), "patient008_frame01"]:
        shape = (40, 36) if "slice" in name else (3, 40, 36)
        with h5py.File(root / "data" / f"{name}.h5", "w") as file:
            file["image"], file["label"] = np.random.rand(*shape).astype(np.float32), np.random.randint(0, 4, shape)
    (root / "train_slices.list").write_text("\n".join(slices), encoding="utf-8")
    (root / "val.list").write_text("patient008_frame01", encoding="utf-8")


def write_mscmr(root):
    for domain, split in product(("C0", "LGE"), ("train", "test")):
        (root / domain / split).mkdir(parents=True)
        for n in range(2):
            for ending, values in (("", np.arange(900)), ("_manual", np.array([0, 200, 500, 600], np.int16))):
                array = np.random.default_rng(n).choice(values, (30, 24, 3)).astype(np.int16)
                path = root / domain / split / f"{split}{n}{ending}.nii.gz"
                nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)


SETS = {
    "prostate": (lambda root: write_split_folders(root, ["BIDMC", "BMC"], [0, 255]), {"labeled": 2}, "test", 8),
    "fundus": (lambda root: write_split_folders(root, ["Domain1", "Domain2"], [0, 128, 255], "ROIs"), {"labeled": 2},
               "test", 8),
    "mnms": (lambda root: write_split_folders(root, ["vendorA", "vendorB"],
                                              [(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)]), {"labeled": 2},
             "test", 8),
    "busi": (write_busi, {"labeled": 2}, "test", 2),
    "busi_quick": (lambda root: write_phantom_domains(root, Phantom((40, 36)), domains=2, train=4, validation=0),
                   {"labeled": 2, "validation": 1, "encoding": "index", "labeled_domain": "site_0"}, "validation", 2),
    "acdc": (write_acdc, {"labeled": 2}, "validation", 1),
    "mscmr": (write_mscmr, {}, "test", 4),
}  # fmt: skip


@pytest.mark.parametrize("name", SETS)
def test_a_data_set_trains_and_is_evaluated_in_its_own_layout(name, run_tiny, tmp_path):
    write, options, split, cases = SETS[name]
    data = tmp_path / "data"
    write(data)
    options = {"dataset_dir": str(data), "sam#kind": "none", "base_channels": 4, **options}
    run_tiny("synfoc_segmentation", name, **options)
    size = {"metric_size": [16, 16]} if name == "prostate" else {}
    run_tiny("synfoc_segmentation", "evaluate", split=split, **size)
    summary = json.loads((tmp_path / split / "summary.json").read_text(encoding="utf-8"))
    assert summary["cases"] == cases and summary["domains"]
    assert set(summary["classes"]) == ({"cup", "disc"} if name == "fundus" else set(summary["classes"]))


@pytest.mark.parametrize("name", [*SETS, "demo"])
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
        if option != "dataset_dir":  # the parser's own
            assert (trained[option][key[0]] if key else trained[option]) == value, id
            assert option not in config.get() or config.get_parsed_content(id) == value, id
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
