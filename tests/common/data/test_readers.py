import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from PIL import Image

from common.data import LoadImageOrSeriesd
from tests.series import write_series


def oblique(left_handed):
    """An affine with perpendicular, tilted axes; a left-handed series is stored from its other end."""
    near = np.array([[-1.0, 0.1, 0.2], [0.1, -1.0, -0.3], [0.2, 0.3, -1.0 if left_handed else 1.0]])
    u, _, v = np.linalg.svd(near)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = u @ v * [1.25, 0.9, 2.4], [3, -4, 5]
    return affine


@pytest.mark.parametrize("left_handed", [False, True])
@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha", "_series"])
def test_every_format_gives_the_same_voxels_in_the_same_places(ending, left_handed, tmp_path):
    voxels = np.random.default_rng(0).integers(-500, 500, (6, 5, 4)).astype(np.int16)
    volume = nibabel.Nifti1Image(voxels, oblique(left_handed))
    reference, path = tmp_path / "reference.nii.gz", tmp_path / f"case{ending}"
    nibabel.save(volume, reference)
    if ending == "_series":
        write_series(path, volume)
    else:
        sitk.WriteImage(sitk.ReadImage(str(reference)), str(path))
    image = LoadImageOrSeriesd("image")({"image": str(path)})["image"]
    assert image.shape == (1, 6, 5, 4)
    read = nibabel.Nifti1Image(image[0].numpy(), image.affine.numpy())
    read, volume = nibabel.as_closest_canonical(read), nibabel.as_closest_canonical(volume)
    np.testing.assert_array_equal(read.get_fdata(), volume.get_fdata())
    np.testing.assert_allclose(read.affine, volume.affine, atol=1e-5)


def test_channels_come_first(tmp_path):
    voxels = np.arange(2 * 3 * 4 * 2, dtype=np.float32).reshape(2, 3, 4, 2)  # z, y, x, channel
    sitk.WriteImage(sitk.GetImageFromArray(voxels, isVector=True), str(tmp_path / "two.nrrd"))
    image = LoadImageOrSeriesd("image")({"image": str(tmp_path / "two.nrrd")})["image"]
    assert image.shape == (2, 4, 3, 2)
    np.testing.assert_array_equal(image[1, :, :, 0], voxels[0, :, :, 1].T)


def test_two_dimensions(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((3, 4), np.float32))
    image.SetSpacing([0.5, 2.0])
    sitk.WriteImage(image, str(tmp_path / "flat.mha"))
    loaded = LoadImageOrSeriesd("image")({"image": str(tmp_path / "flat.mha")})["image"]
    assert loaded.shape == (1, 4, 3)
    np.testing.assert_allclose(np.diag(loaded.affine), [-0.5, -2.0, 1.0, 1.0])


@pytest.mark.parametrize(("mode", "picture_channels", "channels"), [
    ("RGB", 1, 1), ("L", 3, 3), ("RGBA", 3, 3), ("RGB", None, 3), ("L", None, 1), ("RGB", 2, 3),
])  # fmt: skip
def test_pictures_become_gray_or_color_where_asked_to(mode, picture_channels, channels, tmp_path):
    picture = Image.fromarray(np.arange(60, dtype=np.uint8).reshape(5, 4, 3)).convert(mode)
    picture.save(tmp_path / "picture.png")
    loaded = LoadImageOrSeriesd("image", picture_channels=picture_channels)({"image": str(tmp_path / "picture.png")})
    assert loaded["image"].shape == (channels, 4, 5)
    if picture_channels == 1:
        np.testing.assert_array_equal(loaded["image"][0].T, np.asarray(picture.convert("L")))
