import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from PIL import Image

from common.data import DecodeMaskd
from common.errors import InputError


def write(path, array, mode=None):
    image = Image.fromarray(np.asarray(array, np.uint8))
    (image.convert(mode) if mode else image).save(path)
    return str(path)


def decode(paths, encoding):
    return DecodeMaskd("label", encoding)({"label": paths})["label"]


CODES = {
    "binary": ([0, 255], [0, 1]),
    "prostate": ([0, 255], [1, 0]),
    "fundus": ([0, 128, 255, 1, 129], [1, 2, 0, 2, 0]),
    "index": ([0, 1, 2, 3], [0, 1, 2, 3]),
    "mnms": ([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], [0, 1, 2, 3]),
}


@pytest.mark.parametrize("encoding", CODES)
def test_every_stored_code_is_decoded_where_it_stands(encoding, tmp_path):
    stored, classes = (np.array(values) for values in CODES[encoding])
    where = np.random.default_rng(0).integers(len(classes), size=(6, 9))
    label = decode(write(tmp_path / "mask.png", stored[where]), encoding)
    assert label.shape == (1, 9, 6) and label.dtype == torch.uint8  # PIL's height is the second axis, as in LoadImage
    np.testing.assert_array_equal(label[0].T, classes[where])


def test_a_gray_mask_stored_as_color_reads_the_same(tmp_path):
    values = np.array([[0, 128, 255]])
    gray = decode(write(tmp_path / "gray.png", values), "fundus")
    color = decode(write(tmp_path / "color.png", np.repeat(values[..., None], 3, axis=-1)), "fundus")
    assert torch.equal(gray, color) and gray.flatten().tolist() == [1, 2, 0]


@pytest.mark.parametrize("modes", [("1", "1"), ("RGBA", "1"), ("RGB", "RGBA")])
def test_masks_of_one_image_are_united_whatever_their_modes(modes, tmp_path):
    masks = [[[255, 0, 0, 0]], [[0, 0, 255, 0]]]
    paths = [write(tmp_path / f"{i}.png", mask, mode) for i, (mask, mode) in enumerate(zip(masks, modes))]
    assert decode(paths, "binary").flatten().tolist() == [1, 0, 1, 0]


def test_volumes_of_integers_take_a_mapping(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    stored = np.array([0, 200, 500, 600], np.int16)[np.arange(24).reshape(2, 3, 4) % 4]
    nibabel.save(nibabel.Nifti1Image(stored, np.eye(4)), tmp_path / "mask.nii.gz")
    label = decode(str(tmp_path / "mask.nii.gz"), "mscmr")
    np.testing.assert_array_equal(label[0], np.arange(24).reshape(2, 3, 4) % 4)
    assert torch.equal(label, decode(str(tmp_path / "mask.nii.gz"), {0: 0, 200: 1, 500: 2, 600: 3}))


def test_axes_beyond_the_third_must_be_empty(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    stored = np.arange(24).reshape(2, 3, 4).astype(np.int16) % 4
    for shape in ((2, 3, 4, 1), (2, 3, 4, 1, 1)):
        nibabel.save(nibabel.Nifti1Image(stored.reshape(shape), np.eye(4)), tmp_path / "mask.nii.gz")
        np.testing.assert_array_equal(decode(str(tmp_path / "mask.nii.gz"), "index")[0], stored)
    nibabel.save(nibabel.Nifti1Image(stored.reshape(2, 3, 2, 2), np.eye(4)), tmp_path / "mask.nii.gz")
    with pytest.raises(InputError, match=r"mask.nii.gz: a label of 4 axes \(2, 3, 2, 2\)"):
        decode(str(tmp_path / "mask.nii.gz"), "index")


@pytest.mark.parametrize(
    ("encoding", "pixel", "message"),
    [("binary", 7, "unknown mask values [7]"), ("mnms", [255, 255, 0], "unknown mask values [(255, 255, 0)]")],
)
def test_an_unknown_value_names_the_file(encoding, pixel, message, tmp_path):
    path = write(tmp_path / "odd.png", [[pixel, pixel]])
    with pytest.raises(InputError) as caught:
        decode(path, encoding)
    assert "odd.png" in str(caught.value) and message in str(caught.value)


def test_masks_of_different_sizes_are_refused(tmp_path):
    paths = [write(tmp_path / "a.png", [[0, 255]]), write(tmp_path / "b.png", [[0, 255, 0]])]
    with pytest.raises(InputError, match="b.png: mask of size"):
        decode(paths, "binary")


def test_an_unknown_encoding_is_refused():
    with pytest.raises(InputError, match="mask encoding must be one of index"):
        DecodeMaskd("label", "colors")


def test_a_mask_keeps_the_geometry_of_its_file(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    stored, affine = np.arange(24).reshape(2, 3, 4).astype(np.int16) % 3, np.diag([-1.5, 2.0, -4.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(stored, affine), tmp_path / "mask.nii.gz")
    sitk.WriteImage(sitk.ReadImage(str(tmp_path / "mask.nii.gz")), str(tmp_path / "mask.mha"))
    for name in ("mask.nii.gz", "mask.mha"):
        label = decode(str(tmp_path / name), "index")
        np.testing.assert_array_equal(label[0], stored)
        np.testing.assert_allclose(label.affine, affine)
