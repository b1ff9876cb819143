import nibabel
import numpy as np
import pydicom
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from common.data import LoadImageOrSeriesd, SaveDicomSegd, SaveImageOfCased
from tests.series import write_series

VOLUME = nibabel.Nifti1Image(np.arange(120, dtype=np.int16).reshape(4, 5, 6), np.diag([-1.0, -1.5, 2.0, 1.0]))


def loaded(path):
    image = LoadImageOrSeriesd("image")({"image": str(path), "case": "p.1"})
    labels = MetaTensor(torch.zeros(1, 4, 5, 6, dtype=torch.uint8), meta=image["image"].meta)
    labels[0, 1:3, 2, 4] = 1
    labels[0, 0, :2, 3] = 2
    return {**image, "pred": labels}


def test_niftis_are_named_after_the_case_and_keep_the_geometry(tmp_path):
    write_series(tmp_path / "series", VOLUME)
    data = loaded(tmp_path / "series")
    SaveImageOfCased("pred", str(tmp_path / "out"))(data)
    SaveImageOfCased("pred", str(tmp_path / "out"), "uncertainty", "float32")(data)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["p.1.nii.gz", "p.1_uncertainty.nii.gz"]
    labels = nibabel.load(tmp_path / "out" / "p.1.nii.gz")
    np.testing.assert_array_equal(labels.get_fdata(), data["pred"][0])
    np.testing.assert_allclose(labels.affine, VOLUME.affine, atol=1e-5)
    assert labels.get_data_dtype() == np.uint8
    assert nibabel.load(tmp_path / "out" / "p.1_uncertainty.nii.gz").get_data_dtype() == np.float32


@pytest.mark.parametrize(("source", "dtype", "written"), [
    ("p.png", "uint8", "p.png"), ("p.png", "float32", "p.nii.gz"), ("p.nii.gz", "uint8", "p.nii.gz"),
])  # fmt: skip
def test_flat_images_become_pictures_or_keep_their_format(tmp_path, source, dtype, written):
    labels = MetaTensor(torch.arange(20, dtype=torch.uint8).reshape(1, 4, 5), meta={"filename_or_obj": source})
    SaveImageOfCased("pred", str(tmp_path), dtype=dtype)({"pred": labels, "case": "p"})
    (path,) = tmp_path.iterdir()
    stored = np.asarray(Image.open(path)).T if path.suffix == ".png" else nibabel.load(path).get_fdata()
    assert path.name == written
    np.testing.assert_array_equal(stored, labels[0])


def test_an_empty_prediction_is_written(tmp_path):
    pytest.importorskip("highdicom")
    write_series(tmp_path / "series", VOLUME)
    data = loaded(tmp_path / "series")
    SaveDicomSegd("pred", str(tmp_path / "out"))({**data, "pred": torch.zeros_like(data["pred"])})
    assert not pydicom.dcmread(tmp_path / "out" / "p.1.dcm").pixel_array.any()
