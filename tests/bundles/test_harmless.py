"""Inference leaves the images alone and says which of them do not fit."""

import nibabel
import numpy as np
import pytest
import torch

from common.errors import find_explained
from common.networks import VNet

STATED = {"base_channels": 4, "patch_size": [16] * 3, "stride": [16] * 3}


@pytest.fixture
def weights(tmp_path):
    (tmp_path / "run").mkdir()
    torch.save(VNet(1, 2, 4).state_dict(), tmp_path / "run" / "model.pt")
    return str(tmp_path / "run" / "model.pt")


@pytest.mark.parametrize("given", ["folder", "file", "list", "through a link"])
def test_results_never_take_the_places_of_the_images(given, phantoms_3d, run_tiny, tmp_path, weights):
    images = phantoms_3d / "images"
    before = {path: path.read_bytes() for path in images.iterdir()}
    (tmp_path / "link").symlink_to(images)
    one = str(next(images.glob("*.nii.gz")))
    source = {"folder": str(images), "file": one, "list": [one], "through a link": str(tmp_path / "link")}[given]
    with pytest.raises(Exception) as caught:
        run_tiny("meanteacher_segmentation", "inference", inputs=source, output_dir=str(images), checkpoint=weights,
                 **STATED)  # fmt: skip
    assert "holds the images to segment" in str(find_explained(caught.value))
    assert {path: path.read_bytes() for path in images.iterdir()} == before


def test_images_of_other_channels_are_named_and_the_rest_is_segmented(phantoms_3d, run_tiny, tmp_path, weights):
    (tmp_path / "in").mkdir()
    good = next((phantoms_3d / "images").glob("*.nii.gz"))
    (tmp_path / "in" / good.name).write_bytes(good.read_bytes())
    pair = np.random.default_rng(0).normal(size=(16, 16, 16, 2)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(pair, np.eye(4)), tmp_path / "in" / "pair.nii.gz")
    with pytest.raises(Exception) as caught:
        run_tiny("meanteacher_segmentation", "inference", inputs=str(tmp_path / "in"), output_dir=str(tmp_path / "out"),
                 checkpoint=weights, **STATED)  # fmt: skip
    words = str(find_explained(caught.value))
    assert "1 of 2 images could not be used" in words and "pair.nii.gz: 2 channels, expected 1 (in_channels)" in words
    assert [path.name for path in (tmp_path / "out").iterdir()] == [good.name]
