"""Preprocessing chains: what they give, with and without a label, and what MONAI Label finds in them."""

import nibabel
import numpy as np
import pytest
import torch
from monai.transforms import LoadImaged
from PIL import Image

from common.data import PicturePreprocessing, VolumePreprocessing


@pytest.fixture
def case(tmp_path):
    for name, values in (("image", np.arange(24.0)), ("label", np.arange(24.0) % 2)):
        volume = nibabel.Nifti1Image(values.reshape(2, 3, 4), np.diag([1.0, 1.0, 2.0, 1.0]))
        nibabel.save(volume, tmp_path / f"{name}.nii.gz")
    return {name: str(tmp_path / f"{name}.nii.gz") for name in ("image", "label")}


@pytest.mark.parametrize("preprocessing", [VolumePreprocessing(normalize=True), PicturePreprocessing()])
def test_a_label_may_be_missing(preprocessing, case):
    both, alone = preprocessing(case), preprocessing({"image": case["image"]})
    assert both["image"].shape == (1, 2, 3, 4) and both["image"].shape == both["label"].shape
    assert np.array_equal(both["image"], alone["image"]) and "label" not in alone


def test_volumes_are_scaled_as_asked(case):
    window = VolumePreprocessing(window=(5, 15))(case)["image"]
    assert window.min() == 0 and window.max() == 1 and window.flatten()[10] == pytest.approx(0.5)
    normal = VolumePreprocessing(normalize=True)(case)["image"]
    assert float(normal.mean()) == pytest.approx(0, abs=1e-6) and float(normal.std(correction=0)) == pytest.approx(1)
    assert VolumePreprocessing(spacing=(1, 1, 1))(case)["label"].shape == (1, 2, 3, 7)
    assert VolumePreprocessing(spacing=(0.5, None, None))(case)["image"].shape == (1, 3, 3, 4)


@pytest.mark.parametrize("preprocessing", [VolumePreprocessing(), PicturePreprocessing()])
def test_monai_label_finds_no_loader_of_labels(preprocessing):
    """It wraps each ``LoadImaged`` in a loader that wants all of its keys, and a case to segment has no label."""
    assert [t.keys for t in preprocessing.transforms if isinstance(t, LoadImaged)] == [("image",)]


def test_pictures_are_scaled_as_asked(tmp_path):
    levels = np.linspace(20, 220, 64).astype(np.uint8).reshape(8, 8)
    Image.fromarray(levels).save(tmp_path / "a.png")
    stored = torch.from_numpy(levels.T.astype(np.float32))

    def loaded(**options):
        return PicturePreprocessing(**options)({"image": str(tmp_path / "a.png")})["image"][0].as_tensor()

    torch.testing.assert_close(loaded(intensity="none"), stored)
    torch.testing.assert_close(loaded(intensity_range=[0, 255]), stored / 255)
    torch.testing.assert_close(loaded(intensity="byte", intensity_range=[0, 255]), stored)
    torch.testing.assert_close(loaded(intensity="byte"), (stored - 20) / 200 * 255)
    scored = loaded(intensity="zscore")
    torch.testing.assert_close(scored, (stored - stored.mean()) / stored.std(correction=0))
