"""The gate: made inputs of every kind that a chain must refuse, or take, one small file each."""

import logging

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from common.data import CachedDataset, CheckedDataset, PicturePreprocessing, VolumePreprocessing
from common.errors import InputError

SHAPE = (6, 5, 4)
IMAGE = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
LABEL = np.zeros(SHAPE, np.uint8)
LABEL[1:3, 1:4, 1:3] = 1
GRID = np.diag([1.0, 1.0, 2.0, 1.0])


def volume(path, values, affine=GRID):
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return str(path)


@pytest.fixture
def case(tmp_path):
    """Write a case of volumes, with other voxels or another affine for either file."""

    def write(image=IMAGE, label=LABEL, image_affine=GRID, label_affine=GRID):
        files = {"image": volume(tmp_path / "i.nii.gz", image, image_affine)}
        return files if label is None else {**files, "label": volume(tmp_path / "l.nii.gz", label, label_affine)}

    return write


def decoded(files, **options):
    chain = VolumePreprocessing(**{"in_channels": 1, "patch_size": (16, 16, 16), **options})
    return CachedDataset([files], chain, classes=2)[0]


def shifted(*offset):
    moved = GRID.copy()
    moved[:3, 3] = offset
    return moved


def turned(degrees):
    angle = np.radians(degrees)
    around = np.eye(4)
    around[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return around @ GRID


# ---- one grid

MIRRORED = np.diag([-1.0, 1.0, 2.0, 1.0])


@pytest.mark.parametrize(
    ("affine", "what"),
    [
        (shifted(200, 0, 0), r"origin \(200, 0, 0\) instead of \(0, 0, 0\) mm"),
        (shifted(0, 0.2, 0), r"origin \(0, 0\.2, 0\)"),
        (np.diag([1.0, 1.0, 2.2, 1.0]), r"spacing \(1, 1, 2\.2\) instead of \(1, 1, 2\) mm"),
        (np.diag([0.5, 0.5, 1.0, 1.0]), r"spacing"),
        (MIRRORED, r"origin"),
        (turned(10), r"direction"),
        (np.eye(4)[[1, 0, 2, 3]] @ GRID, r"label of shape|direction"),
    ],
    ids=["200 mm", "a fifth of a voxel", "thicker", "half", "mirrored", "turned", "axes swapped"],
)
def test_a_label_on_another_grid_is_refused(case, affine, what):
    with pytest.raises(InputError, match=f"l.nii.gz: .*{what}"):
        decoded(case(label_affine=affine))


@pytest.mark.parametrize("affine", [shifted(1e-4, 0, 0), turned(1e-3)])
def test_rounding_passes_without_a_word(case, affine, caplog):
    decoded(case(label_affine=affine))
    assert not [r for r in caplog.records if r.name == "MatchGridd"]


def test_noise_passes_and_is_said_once(case, caplog):
    files = case(label_affine=shifted(0.03, 0, 0))
    CachedDataset([files, files], VolumePreprocessing(), classes=2, workers=1)
    (record,) = [r for r in caplog.records if r.name == "MatchGridd"]
    assert "0.03 of a voxel off" in record.message and record.levelno == logging.WARNING


def test_the_same_grid_stored_along_other_axes_is_the_same_grid(case):
    flipped = MIRRORED.copy()
    flipped[0, 3] = SHAPE[0] - 1
    plain = decoded(case())["label"]
    assert np.array_equal(decoded(case(label=LABEL[::-1].copy(), label_affine=flipped))["label"], plain)


def test_a_label_may_be_resampled_if_asked(case):
    fine = np.repeat(np.repeat(np.repeat(LABEL, 2, 0), 2, 1), 2, 2)
    affine = np.diag([0.5, 0.5, 1.0, 1.0])
    affine[:3, 3] = (-0.25, -0.25, -0.5)
    files = case(label=fine, label_affine=affine)
    assert np.array_equal(decoded(files, label_grid="resample")["label"], decoded(case())["label"])
    with pytest.raises(InputError, match="no foreground falls into the image"):
        decoded(case(label_affine=shifted(200, 0, 0)), label_grid="resample")


def test_mha_and_nifti_of_one_grid_agree(case, tmp_path):
    files = case(label=None)
    stored = sitk.GetImageFromArray(LABEL.T)
    stored.SetSpacing((1, 1, 2))
    stored.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))  # LPS of an identity in RAS
    sitk.WriteImage(stored, str(tmp_path / "l.mha"))
    (tmp_path / "l.mha").rename(tmp_path / "l.MHA")
    assert np.array_equal(decoded({**files, "label": str(tmp_path / "l.MHA")})["label"], decoded(case())["label"])


# ---- images

BIG = IMAGE.copy()
BIG[0, 0, 0] = 1e30
RGB = np.zeros(SHAPE, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))


def with_value(value):
    values = IMAGE.copy()
    values[2, 2, 2] = value
    return values


@pytest.mark.parametrize(
    ("image", "what"),
    [
        (with_value(np.nan), "NaN or infinite"),
        (with_value(-np.inf), "NaN or infinite"),
        (IMAGE.astype(np.float64) * 1e300, "NaN or infinite"),
        (BIG, r"values up to 1e\+30 are no intensities"),
        (np.full(SHAPE, 7.0, np.float32), "every voxel is 7"),
        (IMAGE.astype(np.complex64), "complex voxels"),
        (RGB, "color"),
        (np.stack([IMAGE] * 2, -1), r"2 channels, expected 1 \(in_channels\)"),
        (np.stack([np.stack([IMAGE] * 2, -1)] * 3, -1), "the image is 4D"),
        (IMAGE[..., 0], r"the image is 2D, and the network takes 3D images \(patch_size\)"),
        (np.zeros((6, 0, 4), np.float32), "no voxels|cannot be read"),
    ],
    ids=["NaN", "inf", "1e300", "1e30", "constant", "complex", "RGB", "channels", "5D", "2D", "empty"],
)
def test_an_image_that_no_network_can_take_is_one_line(case, image, what):
    with pytest.raises(InputError, match=rf"i\.nii\.gz.*({what})") as caught:
        decoded(case(image, label=None))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [np.int16, np.uint16, np.int32, np.float64, np.uint8])
def test_any_kind_of_number_is_taken(case, kind):
    assert decoded(case((IMAGE * 10 + 50).astype(kind)))["image"].shape == (1, *SHAPE)


@pytest.mark.parametrize("image", [IMAGE[..., None], IMAGE[..., :1]], ids=["empty axis", "one slice"])
def test_an_axis_of_one_is_no_mistake(case, image):
    assert decoded(case(image, label=None))["image"].shape == (1, *image.shape[:3])


@pytest.mark.parametrize("bad", [np.diag([1, 1, np.nan, 1]), np.diag([1.0, 0, 2, 1])], ids=["NaN", "no length"])
def test_a_header_without_a_grid_is_one_line(tmp_path, bad):
    image = nibabel.Nifti1Image(IMAGE, GRID)
    image.header["sform_code"], image.header["qform_code"] = 1, 0
    for row, name in enumerate(("srow_x", "srow_y", "srow_z")):
        image.header[name] = bad[row]
    image._affine = None
    nibabel.save(nibabel.Nifti1Image(IMAGE, None, image.header), tmp_path / "i.nii")
    with pytest.raises(InputError, match="i.nii"):
        decoded({"image": str(tmp_path / "i.nii")})


def test_a_window_that_leaves_nothing_is_one_line(case):
    with pytest.raises(InputError, match=r"i.nii.gz: scaling leaves 0 everywhere.*\(window, intensity_range\)"):
        decoded(case(), window=(100, 200))


# ---- labels


@pytest.mark.parametrize(
    ("label", "what"),
    [
        (LABEL * 0.5, "0.5 among its values: a label holds whole numbers"),
        (LABEL - 1e-5, "-9.99.*e-06"),
        (-LABEL.astype(np.int16), r"label values \[-1\]"),
        (LABEL * 255, r"label values \[255\] outside the classes 0..1"),
        (LABEL.astype(np.int16) * 300, r"label values \[300\]"),
        (np.stack([1 - LABEL, LABEL], -1), "a label of 4 axes"),
        (np.swapaxes(LABEL, 0, 2).copy(), "label of shape"),
        (LABEL[:-1], "label of shape"),
        (IMAGE, "among its values"),
        (LABEL.astype(np.complex64), "complex"),
    ],
    ids=["half", "almost", "negative", "255", "300", "layers", "swapped", "shorter", "an image", "complex"],
)
def test_a_label_without_class_numbers_is_one_line(case, label, what):
    with pytest.raises(InputError, match=rf"l\.nii\.gz.*{what}"):
        decoded(case(label=label))


def test_rounding_of_float32_makes_whole_numbers(case):
    assert decoded(case(label=LABEL * np.float32(1 - 1e-7)))["label"].unique().tolist() == [0, 1]
    assert decoded(case(label=LABEL[..., None].astype(np.float64)))["label"].shape == (1, *SHAPE)


def test_what_no_label_holds_is_said_once(case, tmp_path, caplog):
    files = {**case(), "case": "full"}
    empty = {**files, "label": volume(tmp_path / "empty.nii.gz", LABEL * 0), "case": "hollow"}
    CachedDataset([files, empty], VolumePreprocessing(), classes=3)
    lines = [r.message for r in caplog.records if r.name == "CachedDataset"]
    assert len(lines) == 2 and "no label holds class 2" in lines[0] and lines[1].endswith("foreground: hollow")


# ---- pictures

GRAY = np.arange(48, dtype=np.uint8).reshape(6, 8)


def seen(files, channels=1, **options):
    return CheckedDataset([files], PicturePreprocessing(channels, **options))[0]


def picture(path, values, mode=None):
    (Image.fromarray(values) if mode is None else Image.fromarray(values).convert(mode)).save(path)
    return {"image": str(path)}


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P"])
@pytest.mark.parametrize("channels", [1, 3])
def test_gray_and_color_become_what_the_network_takes(tmp_path, mode, channels):
    image = seen(picture(tmp_path / "a.PNG", GRAY, mode), channels, intensity="none")["image"]
    assert image.shape == (channels, 8, 6) and np.array_equal(image[0].T, GRAY)


@pytest.mark.parametrize("ending", ["png", "tif", "TIFF"])
def test_16_bits_keep_all_their_values(tmp_path, ending):
    deep = np.linspace(600, 2400, 64 * 64).reshape(64, 64).astype(np.uint16)
    files = picture(tmp_path / f"a.{ending}", deep)
    assert len(seen(files, intensity="none")["image"].unique()) == 1801
    scaled = seen(files)["image"]
    assert len(scaled.unique()) == 1801 and scaled.min() == 0 and scaled.max() == 1
    with pytest.raises(InputError, match="values up to 2400, and intensity_range ends at 255"):
        seen(files, intensity_range=(0, 255))


@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_16_bit_colors_become_gray_at_their_depth(tmp_path, ending):
    deep = np.stack([np.arange(300, 348, dtype=np.uint16).reshape(6, 8) * 10] * 3, -1)
    sitk.WriteImage(sitk.GetImageFromArray(deep, isVector=True), str(tmp_path / f"a.{ending}"))
    image = seen({"image": str(tmp_path / f"a.{ending}")}, intensity="none")["image"]
    assert np.array_equal(image[0].T, deep[..., 0])


def test_pages_of_a_tiff_are_no_picture(tmp_path):
    pages = [Image.fromarray(GRAY + n) for n in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(InputError, match="holds 3 pages"):
        seen({"image": str(tmp_path / "a.tif")})


def test_indices_of_a_palette_are_classes_and_colors_are_none(tmp_path):
    files = picture(tmp_path / "a.png", GRAY)
    mask = Image.fromarray((GRAY > 20).astype(np.uint8), "P")
    mask.putpalette([0, 0, 0, 200, 30, 90])
    mask.save(tmp_path / "m.png")
    label = seen({**files, "label": str(tmp_path / "m.png")})["label"]
    assert np.array_equal(label[0].T, GRAY > 20)
    mask.convert("RGB").save(tmp_path / "m.png")
    with pytest.raises(InputError, match=r"m.png: a mask in color.*\(encoding\)"):
        seen({**files, "label": str(tmp_path / "m.png")})
