"""Inference of every 2D bundle: pictures beside slices and volumes, damaged ones among them."""

import nibabel
import numpy as np
import pydicom
import pytest
import torch
from monai.bundle import ConfigParser
from PIL import Image
from scipy import ndimage

from common.errors import find_explained
from tests.series import write_series

from .conftest import BUNDLES, dims

NAMES = sorted(path.name for path in BUNDLES.iterdir() if (path / "configs").is_dir() and dims(path.name) == 2)
SMALL = {"base_channels": 4, "patch_size": [64, 64], "device": "cpu", "amp": False}
SMALL_OF = {"iere_segmentation": {"backbone": "resnet18"}, "synfoc_segmentation": {"sam#kind": "none"}}
AFFINE = np.array([[-1.5, 0, 0, 30], [0, -1.25, 0, -7], [0, 0, 2.5, 11], [0, 0, 0, 1.0]])


def undecided(network):
    """Random weights whose two classes are about equally frequent on noise."""
    noise = torch.rand(2, 1, 64, 64)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    head = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)][-1]
    with torch.no_grad():
        network.train()(noise)
        logits = network.eval()(noise)
        head.bias[0] += (logits[:, 1] - logits[:, 0]).median()
    return network


@pytest.fixture(params=NAMES)
def infer(request, run_tiny, tmp_path):
    """Run a bundle with random weights on a folder; returns the folder of the results."""
    name = request.param

    def call(source, **options):
        small = {**SMALL, **SMALL_OF[name]}
        config = ConfigParser()
        config.read_config(str(BUNDLES / name / "configs" / "inference.yaml"))
        config.update({**small, "bundle_root": str(BUNDLES / name)})
        torch.manual_seed(1)
        torch.save(undecided(config.get_parsed_content("network_def")).state_dict(), tmp_path / "random.pt")
        settings = {**small, "checkpoint": str(tmp_path / "random.pt"), **options}
        run_tiny(name, "inference", inputs=str(source), output_dir=str(tmp_path / "out"), **settings)
        return tmp_path / "out"

    return call


@pytest.fixture
def noise(tmp_path):
    """A folder with a color picture, a flat slice and a volume."""
    folder, values = tmp_path / "in", np.random.default_rng(0).integers(0, 256, (40, 36, 5)).astype(np.uint8)
    folder.mkdir()
    Image.fromarray(values[..., :3]).save(folder / "color.png")
    nibabel.save(nibabel.Nifti1Image(values[..., 0].astype(np.int16), AFFINE), folder / "slice.nii.gz")
    nibabel.save(nibabel.Nifti1Image(values.astype(np.int16), AFFINE), folder / "volume.nii.gz")
    return folder


def test_results_have_the_name_and_geometry_of_their_image(infer, noise):
    out = infer(noise, uncertainty="entropy")
    assert sorted(path.name for path in out.iterdir()) == [
        "color.png", "color_uncertainty.nii.gz", "slice.nii.gz", "slice_uncertainty.nii.gz", "volume.nii.gz",
        "volume_uncertainty.nii.gz",
    ]  # fmt: skip
    assert Image.open(out / "color.png").size == (36, 40)
    volume, flat = nibabel.load(out / "volume.nii.gz"), nibabel.load(out / "slice.nii.gz")
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-5)
    assert volume.shape == (40, 36, 5) and flat.shape == (40, 36) and volume.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(volume.dataobj)[..., 0], np.asarray(flat.dataobj))
    assert 0.02 < np.asarray(volume.dataobj).mean() < 0.98
    entropy = nibabel.load(out / "volume_uncertainty.nii.gz").get_fdata()
    assert entropy.shape == (40, 36, 5) and entropy.min() >= 0 and 0.5 < entropy.max() <= 1 + 1e-6


def test_a_turned_volume_comes_back_to_its_place(infer, noise, tmp_path):
    plain = nibabel.load(noise / "volume.nii.gz")
    turned = nibabel.Nifti1Image(np.asarray(plain.dataobj).transpose(2, 0, 1), AFFINE[:, [2, 0, 1, 3]])
    (tmp_path / "both").mkdir()
    nibabel.save(plain, tmp_path / "both" / "plain.nii.gz")
    nibabel.save(turned, tmp_path / "both" / "turned.nii.gz")
    out = infer(tmp_path / "both", orientation="RAS")
    a, b = (nibabel.load(out / f"{name}.nii.gz") for name in ("plain", "turned"))
    np.testing.assert_allclose(b.affine, turned.affine, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(b.dataobj), np.asarray(a.dataobj).transpose(2, 0, 1))


@pytest.mark.parametrize("orientation", [None, "RAS"])
def test_a_dicom_series_gets_a_dicom_segmentation(orientation, infer, noise, tmp_path):
    pytest.importorskip("highdicom")
    write_series(tmp_path / "series", nibabel.load(noise / "volume.nii.gz"))
    out = infer(tmp_path / "series", orientation=orientation, dicom_seg=True, class_names=["lesion"])
    assert sorted(path.name for path in out.iterdir()) == ["series.dcm", "series.nii.gz"]
    labels = np.asarray(nibabel.load(out / "series.nii.gz").dataobj)
    segmentation = pydicom.dcmread(out / "series.dcm")
    assert segmentation.SegmentSequence[0].SegmentLabel == "lesion"
    assert segmentation.pixel_array.sum() == labels.sum() > 0


def test_only_the_largest_component_is_kept(infer, noise):
    result = infer(noise, largest_component=True)
    volume, flat = (np.asarray(nibabel.load(result / f"{name}.nii.gz").dataobj) for name in ("volume", "slice"))
    assert ndimage.label(volume, np.ones((3, 3, 3)))[1] == ndimage.label(flat, np.ones((3, 3)))[1] == 1


def test_damaged_images_are_reported_and_the_others_segmented(infer, noise, capsys):
    (noise / "broken.png").write_bytes(b"no picture")
    nibabel.save(nibabel.Nifti1Image(np.full((8, 8, 2), np.nan, np.float32), AFFINE), noise / "holes.nii.gz")
    with pytest.raises(Exception) as caught:
        infer(noise)
    assert "2 of 5 images could not be used" in str(find_explained(caught.value))
    lines = [line for line in capsys.readouterr().out.splitlines() if "ReadableCases - ERROR" in line]
    assert len(lines) == 2 and "broken.png: cannot be read" in lines[0] and "holes.nii.gz: the image holds" in lines[1]
    assert sorted(path.name for path in (noise.parent / "out").iterdir()) == [
        "color.png", "slice.nii.gz", "volume.nii.gz"
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_viewer_scores_by_dropout_that_training_does_without(name):
    def build(**more):
        config = ConfigParser()
        config.read_config(str(BUNDLES / name / "configs" / "inference.yaml"))
        config.update({**SMALL, **SMALL_OF[name], "bundle_root": str(BUNDLES / name)})
        arguments = "".join(f", {name}={value}" for name, value in more.items())
        config["network_def"] = f"$@trained.component('network_def'{arguments})"
        return config.get_parsed_content("network_def")

    plain, network, image = build(), build(dropout=0.5), torch.rand(2, 1, 64, 64)
    network.load_state_dict(plain.state_dict())
    with torch.no_grad():
        assert torch.equal(plain.train()(image), plain(image))
        assert not torch.equal(network.train()(image), network(image))
        assert torch.equal(network.eval()(image), network(image))


def test_what_a_viewer_may_choose_is_offered_and_an_unknown_map_is_a_mistake(infer, noise):
    infer(noise, **{"displayable_configs#uncertainty_map": True})
    with pytest.raises(Exception) as caught:
        infer(noise, uncertainty="disagreement")
    assert str(find_explained(caught.value)) == "--uncertainty disagreement: expected entropy, or null"
