"""Geometry and values of all forms of DICOM against what was written."""

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    JPEGLSLossless,
    RLELossless,
    UltrasoundImageStorage,
)
from scipy.spatial.transform import Rotation

from common.data import LoadImageOrSeriesd, VolumePreprocessing
from common.errors import InputError
from tests.series import change, compress_by_itk, write_frames, write_picture, write_series

OBLIQUE = Rotation.from_euler("xyz", (20, -35, 10), degrees=True).as_matrix() @ np.diag([0.8, 1.1, 2.5])


def volume(axes=OBLIQUE, origin=(10.0, -20.0, 33.0), shape=(24, 20, 8)):
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes, origin
    return nibabel.Nifti1Image(np.random.default_rng(0).integers(-500, 500, shape).astype(np.int16), affine)


def load(path, **options):
    return LoadImageOrSeriesd("image", **options)({"image": str(path)})["image"]


def sampled(voxels, affine, points):
    """Values at ``points`` (in mm, RAS), which must be centers of voxels."""
    index = (np.linalg.inv(affine) @ np.c_[points, np.ones(len(points))].T)[:3]
    np.testing.assert_allclose(index, index.round(), atol=1e-3)
    return np.asarray(voxels)[tuple(index.round().astype(int))]


def assert_same(image, expected, voxels=None):
    """Every voxel of ``image`` lies where ``expected`` has the same value, whatever the order of the axes."""
    places = np.indices(image.shape[1:]).reshape(3, -1)
    points = (np.asarray(image.affine) @ np.vstack([places, np.ones(places.shape[1])]))[:3].T
    voxels = np.asarray(expected.dataobj) if voxels is None else voxels
    np.testing.assert_array_equal(np.asarray(image[0]).ravel(), sampled(voxels, expected.affine, points))
    assert image[0].numel() == voxels.size


@pytest.mark.parametrize("axes", [np.eye(3), OBLIQUE, OBLIQUE[:, [2, 0, 1]], OBLIQUE * [1, 1, -1]],
                         ids=["straight", "oblique", "sagittal", "left-handed"])  # fmt: skip
def test_voxels_lie_where_they_were(axes, tmp_path):
    expected = volume(axes)
    write_series(tmp_path / "s", expected)
    assert_same(load(tmp_path / "s"), expected)


@pytest.mark.parametrize("degrees", [-15.0, 8.0, 25.0])
def test_a_tilted_gantry_stays_in_the_geometry_with_a_note(degrees, tmp_path, caplog):
    axes = np.diag([-0.8, -1.1, 2.5])
    axes[1, 2] = 2.5 * np.tan(np.radians(degrees))  # each slice lies further back than the one below it
    expected = volume(axes)
    write_series(tmp_path / "s", expected)
    image = load(tmp_path / "s")
    np.testing.assert_allclose(image.affine, expected.affine, atol=1e-4)
    assert_same(image, expected)
    assert f"gantry tilt of {abs(degrees):.1f} degrees" in caplog.text


def test_slightly_turned_slices_are_no_tilt(tmp_path, caplog):
    expected = volume(np.diag([1.0, 1.0, 2.0]))
    paths = write_series(tmp_path / "s", expected)
    for k, path in enumerate(paths):
        change(path, ImagePositionPatient=[-10 + 0.004 * (k % 2), 20.0, 33.0 + 2 * k + 0.01 * (k % 3)])
    affine = np.asarray(load(tmp_path / "s").affine)
    np.testing.assert_allclose(affine @ [0, 0, 7, 1], [10, -20, 47, 1], atol=0.02)
    assert "tilt" not in caplog.text


@pytest.mark.parametrize("order", [[*range(8)], [7, 6, 5, 4, 3, 2, 1, 0], [3, 0, 7, 1, 6, 2, 5, 4]])
def test_frames_of_a_file_are_sorted_by_position(order, tmp_path):
    expected = volume()
    assert_same(load(write_frames(tmp_path / "enhanced" / "1.2.3", expected, order)), expected)
    assert_same(load(tmp_path / "enhanced"), expected)


def test_frames_have_slopes_of_their_own(tmp_path):
    expected, order = volume(), [3, 0, 7, 1, 6, 2, 5, 4]
    path = write_frames(tmp_path / "a", expected, order, lambda k: (1.0 + k, 10.0 * k))
    k = np.arange(8)
    assert_same(load(path), expected, np.asarray(expected.dataobj) * (1 + k) + 10 * k)
    path = write_frames(tmp_path / "b", expected, order, lambda k: (0.5 + k, 0.25))
    assert_same(load(path), expected, np.asarray(expected.dataobj) * (0.5 + k) + 0.25)


def test_slices_have_slopes_of_their_own(tmp_path):
    expected, k = volume(np.diag([-1.0, -1.0, 2.0])), np.arange(8)

    def edit(data, k):
        data.RescaleSlope, data.RescaleIntercept = [1, 0.5, 0.25, 2][k % 4], -k

    write_series(tmp_path / "pet", expected, edit)
    scaled = np.asarray(expected.dataobj) * np.array([1, 0.5, 0.25, 2])[k % 4] - k
    assert_same(load(tmp_path / "pet"), expected, scaled)


@pytest.mark.parametrize("compressed", ["RLE", "JPEG-LS", "JPEG", "JPEG2000", "deflated"])
def test_compressed_slices_are_the_same(compressed, tmp_path):
    expected = volume()
    for path in write_series(tmp_path / "s", expected):
        if compressed in ("JPEG", "JPEG2000"):
            compress_by_itk(path, compressed)
            continue
        data = pydicom.dcmread(path)
        if compressed == "deflated":
            data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
        elif compressed == "JPEG-LS":
            pytest.importorskip("jpeg_ls")
            data.compress(JPEGLSLossless)
        else:
            data.compress(RLELossless)
        data.save_as(path)
    assert_same(load(tmp_path / "s"), expected)
    half = sorted((tmp_path / "s").iterdir())[3]
    half.write_bytes(half.read_bytes()[:-200])
    with pytest.raises(InputError, match=half.name):
        load(tmp_path / "s")


def test_numbers_are_signed_or_not_and_padding_stays(tmp_path):
    def unsigned(data, k):
        data.PixelRepresentation = 0
        data.PixelData = np.full((20, 24), 65535 - k, np.uint16).tobytes()

    write_series(tmp_path / "u", volume(np.diag([-1.0, -1.0, 2.0])), unsigned)
    assert load(tmp_path / "u").amax((0, 1, 2)).tolist() == [65535 - k for k in range(8)]

    def padded(data, k):
        data.PixelRepresentation, data.RescaleIntercept, data.RescaleSlope = k % 2, -1024, 1
        data.add_new("PixelPaddingValue", "SS" if k % 2 else "US", 2000 if k % 2 == 0 else -2000)
        values = np.full((20, 24), 1000, np.int16)
        values[0] = data.PixelPaddingValue
        data.PixelData = values.tobytes()

    write_series(tmp_path / "p", volume(np.diag([-1.0, -1.0, 2.0])), padded)
    image = load(tmp_path / "p")
    assert image[0, 0, 0].tolist() == [976.0, -3024.0] * 4 and image[0, 0, 1].tolist() == [-24.0] * 8


def test_twelve_bits_with_a_sign_and_other_bytes_above(tmp_path):
    def twelve(data, k):
        data.BitsStored, data.HighBit = 12, 11
        data.PixelData = ((np.arange(480) - 240 & 0xFFF).astype(np.uint16)).tobytes()

    write_series(tmp_path / "s", volume(np.diag([-1.0, -1.0, 2.0])), twelve)
    np.testing.assert_array_equal(load(tmp_path / "s")[0, ..., 0].T.reshape(-1), np.arange(480) - 240)


def test_reversed_gray_is_turned_round(tmp_path):
    values = np.arange(30).reshape(5, 6)
    write_picture(tmp_path / "x", values, ComputedRadiographyImageStorage, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(load(tmp_path / "x")[0].T, 255 - values)


def test_pictures_become_gray_or_color_as_asked(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (5, 6, 3))
    color = write_picture(tmp_path / "color", values, UltrasoundImageStorage)
    gray = write_picture(tmp_path / "gray", values[..., 0], UltrasoundImageStorage)
    np.testing.assert_array_equal(load(color), values.T)
    np.testing.assert_array_equal(load(color, picture_channels=3), values.T)
    assert np.abs(load(color, picture_channels=1)[0].numpy() - (values @ [0.299, 0.587, 0.114]).T).max() <= 0.5
    np.testing.assert_array_equal(load(gray, picture_channels=3), np.stack([values[..., 0].T] * 3))
    np.testing.assert_array_equal(load(gray), values[None, ..., 0].transpose(0, 2, 1))


def test_a_single_slice_is_a_picture_in_its_place(tmp_path):
    expected = volume()
    paths = write_series(tmp_path / "s", expected)
    for path in paths[:3] + paths[4:]:
        path.unlink()
    image = load(tmp_path / "s")
    np.testing.assert_array_equal(image[0], np.asarray(expected.dataobj)[..., 3])
    affine = np.asarray(image.affine)
    np.testing.assert_allclose(affine @ [2, 3, 0, 1], expected.affine @ [2, 3, 3, 1], atol=1e-4)


@pytest.mark.parametrize(("charset", "name"), [
    ("ISO_IR 192", "Wáng^小東"), ("ISO_IR 100", "Müller^Jürgen"), (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
])  # fmt: skip
def test_names_in_other_alphabets_and_values_off_the_standard(charset, name, tmp_path, recwarn):
    def edit(data, k):
        data.SpecificCharacterSet, data.PatientName = charset, name
        data.SeriesDescription = name[:8]
        data.add_new("StudyInstanceUID", "UI", "1.02.x")
        data.add_new("SliceThickness", "DS", "2.500000000000000000001")

    expected = volume()
    write_series(tmp_path / "s", expected, edit)
    recwarn.clear()
    assert_same(load(tmp_path / "s"), expected)
    assert not [warning for warning in recwarn.list if "pydicom" in warning.filename]


def test_a_tilted_volume_is_straight_where_it_is_resampled(tmp_path):
    """With a spacing the network sees straight anatomy: a ramp along y is one, whatever the slices' shifts."""
    axes = np.diag([-1.0, -1.0, 2.0])
    axes[1, 2] = 1.0
    expected = volume(axes)
    places = np.indices(expected.shape).reshape(3, -1)
    y = (expected.affine @ np.vstack([places, np.ones(places.shape[1])]))[1].reshape(expected.shape)
    write_series(tmp_path / "s", nibabel.Nifti1Image(np.round(100 * y).astype(np.int16), expected.affine))
    image = VolumePreprocessing(spacing=(1, 1, 1))({"image": str(tmp_path / "s")})["image"]
    affine = np.asarray(image.affine)
    np.testing.assert_allclose(affine[:3, :3], np.eye(3), atol=1e-6)
    where = affine[1, 3] + np.arange(image.shape[2])
    middle = np.asarray(image[0, 12])
    for k in range(middle.shape[1]):  # inside the slices, in mm behind the first one
        inside = (where > y[0, :, 0].min() + k / 2 + 0.5) & (where < y[0, :, 0].max() + k / 2 - 0.5)
        assert inside.sum() > 10
        np.testing.assert_allclose(middle[inside, k] / 100, where[inside], atol=0.02)
