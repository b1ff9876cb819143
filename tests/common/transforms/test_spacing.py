import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Spacingd

from common.transforms import SpacingOfKeysd


def case(**more):
    meta = {"filename_or_obj": "case.nii.gz"}
    return {"image": MetaTensor(torch.rand(1, 8, 6, 4), affine=np.eye(4), meta=meta), **more}


def test_other_entries_are_left_alone_where_monai_fails():
    data, options = case(image_path="case.nii.gz"), {"keys": "image", "pixdim": [2.0, 2.0, 2.0], "mode": "bilinear"}
    with pytest.raises(AttributeError):  # when this no longer raises, MONAI's own will do
        Spacingd(**options)(data)
    result = SpacingOfKeysd(**options)(data)
    assert result["image_path"] == "case.nii.gz"
    torch.testing.assert_close(result["image"], Spacingd(**options)(case(image=data["image"]))["image"])


def test_it_is_inverted_to_the_original_grid():
    data = case()
    transform = SpacingOfKeysd("image", pixdim=[2.0, 2.0, 2.0], mode="bilinear")
    assert transform.inverse(transform(data))["image"].shape == data["image"].shape


def test_missing_entries_may_be_allowed():
    transform = SpacingOfKeysd(["image", "label"], [2.0] * 3, mode=["bilinear", "nearest"], allow_missing_keys=True)
    assert set(transform(case())) == {"image"}
