"""What inference writes: in the geometry and units of the image's file, with the values of the training's labels."""

import itertools

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose
from PIL import Image

from common.data import ENCODINGS, LoadImageOrSeriesd, SaveImageOfCased, VolumePreprocessing, WriteSegmentation
from common.data.masks import DecodeMaskd, stored_values
from common.errors import InputError

TURNED = np.array([[0.0, -0.7, 0.0, 12.5], [0.8, 0.0, 0.1, -3.25], [0.0, 0.0, 2.5, 7.125], [0.0, 0.0, 0.0, 1.0]])
CODES = [(1, 1, "mm"), (0, 3, "mm"), (4, 0, "micron"), (2, 0, "unknown"), (0, 0, "meter"), (3, 1, "mm")]


def stored(path, qform, sform, units, affine=TURNED, shape=(4, 5, 6)):
    """A NIfTI file of an image with these codes and units; where both codes are 0, of that default geometry."""
    image = nibabel.Nifti1Image(np.random.default_rng(0).normal(size=shape).astype(np.float32), affine)
    image.set_qform(affine, qform, strip_shears=True)
    image.set_sform(affine, sform)
    image.header.set_xyzt_units(units, "msec")
    image.header["descrip"], image.header["aux_file"] = b"MUSTERMANN^ERIKA", b"1941-02-03"
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(4, b"MUSTERMANN^ERIKA"))
    nibabel.save(image, path)
    return path


def written(path, folder, transform=None, **options):
    """Write the classes 0 and 1 of an image's file; returns the file."""
    data = (transform or LoadImageOrSeriesd("image"))({"image": str(path), "case": "p"})
    labels = torch.zeros_like(data["image"][:1], dtype=torch.uint8)
    labels[:, 1:3] = 1
    SaveImageOfCased("pred", str(folder), **options)({"pred": labels, "case": "p"})
    return next(file for file in folder.iterdir() if file.name.startswith("p"))


@pytest.mark.parametrize(("qform", "sform", "units"), CODES)
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_geometry_and_units_are_those_of_the_file(tmp_path, qform, sform, units, ending):
    source = nibabel.load(stored(tmp_path / f"image{ending}", qform, sform, units))
    result = nibabel.load(written(tmp_path / f"image{ending}", tmp_path / "out"))
    assert result.header.get_xyzt_units() == (units, "msec") and result.get_data_dtype() == np.uint8
    assert (int(result.header["qform_code"]), int(result.header["sform_code"])) == (qform, sform)
    np.testing.assert_array_equal(result.affine, source.affine)
    for name in ("quatern_b", "qoffset_x", "srow_x", "srow_y", "srow_z"):
        np.testing.assert_array_equal(result.header[name], source.header[name])
    np.testing.assert_array_equal(result.header["pixdim"][:4], source.header["pixdim"][:4])


def test_nothing_else_of_a_header_is_taken_over(tmp_path):
    result = written(stored(tmp_path / "image.nii", 1, 1, "mm"), tmp_path / "out")
    content = nibabel.load(result)
    assert b"MUSTERMANN" not in content.header.binaryblock and not content.header.extensions
    assert b"1941" not in content.header.binaryblock


def test_another_grid_than_the_file_s_keeps_its_own_geometry(tmp_path):
    source = stored(tmp_path / "image.nii", 1, 1, "mm")
    result = nibabel.load(written(source, tmp_path / "out", VolumePreprocessing(spacing=[2.0, 2.0, 2.0])))
    np.testing.assert_allclose(np.abs(result.affine[:3, :3]).sum(axis=0), 2.0, rtol=0.2)
    assert result.header.get_xyzt_units()[0] == "mm" and int(result.header["sform_code"]) == 1


@pytest.mark.parametrize(("values", "dtype"), [
    ([0, 1, 2, 5], np.uint8), ([0, 200, 500, 600], np.int16), ([0, 40000], np.uint16), ([-1, 70000], np.int32),
])  # fmt: skip
def test_files_hold_the_values_of_the_labels(tmp_path, values, dtype):
    path = written(stored(tmp_path / "image.nii", 1, 1, "mm"), tmp_path / "out", values=values)
    result = np.asarray(nibabel.load(path).dataobj)
    assert result.dtype == dtype and np.unique(result).tolist() == values[:2]


@pytest.mark.parametrize("encoding", [*ENCODINGS, {0: 0, 1: 1, 2: 2, 5: 3}, {"0": 0, "5": 1}, {7: 0, 3: 1}])
def test_what_is_written_is_decoded_to_the_same_classes(tmp_path, encoding):
    classes = 4 if encoding in ("index", "mnms", "mscmr") else 3 if encoding == "fundus" else 2
    classes = len(encoding) if isinstance(encoding, dict) else classes
    numbers = torch.arange(20, dtype=torch.uint8).reshape(1, 4, 5) % classes
    flat = encoding != "mscmr"
    labels = MetaTensor(numbers if flat else numbers[..., None], meta={"filename_or_obj": "p.png" if flat else "p.nii"})
    values = stored_values(encoding, classes)
    SaveImageOfCased("pred", str(tmp_path), values=values)({"pred": labels, "case": "p"})
    (path,) = tmp_path.iterdir()
    assert path.name == ("p.png" if flat else "p.nii.gz")
    np.testing.assert_array_equal(DecodeMaskd("label", encoding).decode([path]), labels)
    if flat and encoding != "mnms":
        whole = np.asarray(Image.open(path)).T[..., None].astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(whole, np.eye(4)), tmp_path / "p.nii")
        case = {"image": str(tmp_path / "p.nii"), "label": str(tmp_path / "p.nii")}
        label = VolumePreprocessing(encoding=encoding)(case)["label"]
        np.testing.assert_array_equal(label[..., 0], labels)
        if encoding not in ("index", {"0": 0, "5": 1}):
            viewed = VolumePreprocessing(encoding=encoding, from_viewer=True)(case)["label"]
            assert set(viewed.unique().tolist()) == set(np.unique(whole).astype(int).tolist())


def test_a_class_without_a_value_is_named_only_where_it_is_ambiguous(tmp_path):
    assert stored_values("index", 9) is None and stored_values({0: 0, 1: 1}, 3) is None
    assert stored_values("binary", 3) == [0, 255, 2]
    with pytest.raises(InputError, match="no value of class 2"):
        stored_values({0: 0, 2: 1}, 3)


@pytest.mark.parametrize("spacing", [None, [1.0, 1.0, 1.0]])
def test_probabilities_labels_and_answer(tmp_path, spacing):
    """Files hold values; what a viewer is answered are class numbers."""
    path = stored(tmp_path / "image.nii.gz", 1, 1, "mm", affine=np.diag([-1.0, 1.0, 2.0, 1.0]))
    chain = VolumePreprocessing(spacing=spacing)
    case = chain({"image": str(path), "case": "p"})
    logits = MetaTensor(torch.randn(4, *case["image"].shape[1:]), meta=case["image"].meta)
    logits.applied_operations = case["image"].applied_operations
    write = WriteSegmentation(chain, str(tmp_path / "out"), 4, encoding={0: 0, 1: 1, 2: 2, 5: 3}, probabilities=True)
    answer = write({**case, "pred": logits.softmax(0)})["pred"]
    shares = nibabel.load(tmp_path / "out" / "p_probabilities.nii.gz")
    labels = nibabel.load(tmp_path / "out" / "p.nii.gz")
    assert shares.shape == (4, 5, 6, 4) and shares.get_data_dtype() == np.float32
    np.testing.assert_allclose(shares.get_fdata().sum(-1), 1, atol=1e-5)
    np.testing.assert_array_equal(shares.affine, nibabel.load(path).affine)
    np.testing.assert_array_equal(np.array([0, 1, 2, 5])[shares.get_fdata().argmax(-1)], labels.get_fdata())
    assert set(answer.unique().tolist()) == {0, 1, 2, 3}


def test_flat_probabilities_are_a_volume_of_one_slice(tmp_path):
    maps = MetaTensor(torch.rand(3, 4, 5), meta={"filename_or_obj": "p.png"})
    SaveImageOfCased("pred", str(tmp_path), "probabilities", "float32", channels=True)({"pred": maps, "case": "p"})
    assert nibabel.load(tmp_path / "p_probabilities.nii.gz").shape == (4, 5, 1, 3)
    assert isinstance(VolumePreprocessing(), Compose) and list(itertools.islice(tmp_path.iterdir(), 2))
