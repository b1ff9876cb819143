"""DICOM series that are damaged, incomplete or mixed: refused in one line that names the file or folder."""

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG4HP41,
    EnhancedMRImageStorage,
    JPEGBaseline8Bit,
    MediaStorageDirectoryStorage,
    RLELossless,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
)

from common.datasets.dicom import read_series
from common.errors import InputError
from tests.series import change, write_frames, write_picture, write_report, write_series


@pytest.fixture
def volume():
    voxels = np.random.default_rng(0).integers(0, 500, (6, 5, 8)).astype(np.int16)
    return nibabel.Nifti1Image(voxels, np.diag([1.0, 1.5, 2.0, 1.0]))


def drop(paths):
    paths[3].unlink()
    paths[4].unlink()


def cut(paths):
    paths[2].write_bytes(paths[2].read_bytes()[:-20])


def cut_and_tidied(paths):
    slice_ = pydicom.dcmread(paths[2])
    slice_.PixelData = slice_.PixelData[:-20]
    slice_.save_as(paths[2])


def cut_header(paths):
    paths[7].write_bytes(paths[7].read_bytes()[:200])  # the last slice: without it the others are evenly spaced


def cut_compressed(paths):
    slice_ = pydicom.dcmread(paths[2])
    slice_.compress(RLELossless)
    slice_.save_as(paths[2])
    paths[2].write_bytes(paths[2].read_bytes()[:-20])


def cut_to_nothing(paths):
    paths[7].write_bytes(paths[7].read_bytes()[:100])


def emptied(paths):
    paths[7].write_bytes(b"")
    paths[7].rename(paths[7].with_suffix(".DCM"))


def without_pixels(paths):
    change(paths[2], PixelData=None)


def scramble(paths):
    slice_ = pydicom.dcmread(paths[2])
    slice_.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    slice_.PixelData = encapsulate([b"no JPEG at all"])
    slice_["PixelData"].VR = "OB"
    slice_["PixelData"].is_undefined_length = True
    slice_.save_as(paths[2])


def film(paths):
    scramble(paths)
    slice_ = pydicom.dcmread(paths[2])
    slice_.file_meta.TransferSyntaxUID = MPEG4HP41
    slice_.save_as(paths[2])


def private(paths):
    slice_ = pydicom.dcmread(paths[2])
    slice_.file_meta.TransferSyntaxUID = "1.2.3.4.5"
    slice_.save_as(paths[2], implicit_vr=True, little_endian=True)


def mix(paths):
    change(paths[0], SeriesInstanceUID="1.2.3.4")


def shift(paths):
    change(paths[5], ImagePositionPatient=[0, 0, 10.7])


def sideways(paths):
    change(paths[5], ImagePositionPatient=[0, 0.5, 10])


def repeat(paths):
    (paths[0].parent / "copy").write_bytes(paths[0].read_bytes())


def times(paths):
    for k, path in enumerate(paths):
        change(path, ImagePositionPatient=[0, 0, 2 * (k % 4)], TriggerTime=40 * (k // 4))


def echoes(paths):
    for k, path in enumerate(paths):
        change(path, ImagePositionPatient=[0, 0, 2 * (k // 2)], EchoTime=[2.5, 7.5][k % 2])


def phases(paths):
    for k, path in enumerate(paths):
        kind = ["ORIGINAL", "PRIMARY", "MP"[k % 2]]
        change(path, ImagePositionPatient=[0, 0, 2 * (k // 2)], ImageType=kind)


def lost_link(paths):
    paths[7].unlink()
    paths[7].symlink_to(paths[7].parent / "not here")


def turn(paths):
    change(paths[1], ImageOrientationPatient=[0, 1, 0, 1, 0, 0])


def nonsense(paths):
    for path in paths:
        change(path, ImageOrientationPatient=[1, 0, 0, 1, 0, 0])


def widen(paths):
    change(paths[1], PixelSpacing=[1.0, 2.0])


def lose_row(paths):
    slice_ = pydicom.dcmread(paths[1])
    slice_.Rows, slice_.PixelData = 4, slice_.PixelData[:48]
    slice_.save_as(paths[1])


def lose_position(paths):
    change(paths[1], ImagePositionPatient=None)


def lose_spacing(paths):
    for path in paths:
        change(path, PixelSpacing=None)


def color(paths):
    for path in paths:
        gray = pydicom.dcmread(path)
        gray.SamplesPerPixel, gray.PhotometricInterpretation, gray.PlanarConfiguration = 3, "RGB", 0
        gray.BitsAllocated, gray.BitsStored, gray.HighBit, gray.PixelRepresentation = 8, 8, 7, 0
        gray.PixelData = bytes(90)
        gray.save_as(path)


def thick(beside):
    """Slices 10 mm apart, one of them so many mm beside the line of the others."""
    return lambda data, k: setattr(data, "ImagePositionPatient", [0, beside * (k == 5), 10 * k])


def test_thick_slices_may_lie_further_beside_their_line(volume, tmp_path):
    write_series(tmp_path / "near", volume, thick(0.19))
    assert read_series(tmp_path / "near").GetSpacing()[2] == pytest.approx(10)
    write_series(tmp_path / "far", volume, thick(0.21))
    with pytest.raises(InputError, match="IM0035 lies 0.21 mm beside the line of the other slices"):
        read_series(tmp_path / "far")


DAMAGE = {
    drop: "series: 2 slices missing, the first after IM0014",
    cut: "IM0014: pixel data are cut short, 40 bytes of 60",
    cut_and_tidied: "IM0014: pixel data are cut short, 40 bytes of 60",
    cut_header: "IM0049: .*; remove the file if it is no slice of the series",
    cut_compressed: "IM0014: compressed pixel data are cut short",
    cut_to_nothing: "IM0049: .*; remove the file if it is no slice of the series",
    emptied: r"IM0049.DCM: no DICOM, whatever its name says \(empty file\?\); remove the file if it is no slice",
    without_pixels: "IM0014: an image without pixel data",
    scramble: "IM0014: pixel data cannot be read .*JPEG Baseline",
    film: "IM0014: pixel data cannot be read .*MPEG-4",
    private: "IM0014: pixel data cannot be read .*1.2.3.4.5",
    mix: r"series: 2 series in one folder \(1, 7 images\); name a file of the one that is meant",
    shift: "uneven slice spacing, 1.300 to 2.700 mm",
    sideways: "IM0035 lies 0.50 mm beside the line of the other slices",
    repeat: "copy: has the position of IM0000|IM0000: has the position of copy",
    times: r"series: 2 images at each of 4 positions \(trigger time: 0.0, 40.0\)",
    echoes: r"series: 2 images at each of 4 positions \(echo time: 2.5, 7.5\)",
    phases: r"series: 2 images at each of 4 positions \(image type: .*'M'.*'P'",
    lost_link: r"IM0049: cannot be read \(no such file or directory\); remove the file if it is no slice",
    turn: "IM0007: orientation differs",
    nonsense: "orientation or pixel spacing is none",
    widen: "IM0007: size or pixel spacing differs",
    lose_row: "IM0007: size or pixel spacing differs",
    lose_position: "IM0007: a slice without position, so series makes no volume",
    lose_spacing: "IM0000: a slice without pixel spacing",
    color: "IM0000: color slices; a volume is gray",
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.items(), ids=[f.__name__ for f in DAMAGE])
def test_a_damaged_series_says_what_is_wrong(damage, message, volume, tmp_path):
    damage(write_series(tmp_path / "series", volume))
    with pytest.raises(InputError, match=message) as caught:
        read_series(tmp_path / "series")
    assert str(tmp_path / "series") in str(caught.value)


@pytest.mark.parametrize(("values", "kind", "message"), [
    (np.zeros((7, 5, 6)), UltrasoundMultiFrameImageStorage, "whose 7 frames have no position of their own"),
    (np.zeros((7, 5, 6, 3)), UltrasoundMultiFrameImageStorage, "whose 7 frames have no position of their own"),
])  # fmt: skip
def test_a_film_is_no_volume(values, kind, message, tmp_path):
    path = write_picture(tmp_path / "us" / "film", values, kind)
    for place in (path, path.parent):
        with pytest.raises(InputError, match=message):
            read_series(place)


def test_damaged_multi_frame_files_are_refused(volume, tmp_path):
    path = write_frames(tmp_path / "a", volume, [*range(8)])
    change(path, InConcatenationTotalNumber=2)
    with pytest.raises(InputError, match="one part of a multi-frame image in several files"):
        read_series(path)
    path = write_frames(tmp_path / "b", volume, [*range(8)])
    data = pydicom.dcmread(path)
    del data.PerFrameFunctionalGroupsSequence[3]
    data.save_as(path)
    with pytest.raises(InputError, match="b: says 8 frames and describes 7"):
        read_series(path)
    path = write_frames(tmp_path / "c", volume, [0, 1, 2, 4, 5, 6, 7])
    with pytest.raises(InputError, match="c: 1 slices missing, the first after frame 3 of c"):
        read_series(path)
    path = write_frames(tmp_path / "d", volume, [0, 1, 2, 3])
    change(path, NumberOfFrames=400)
    with pytest.raises(InputError, match="d: pixel data are cut short"):
        read_series(path)
    assert EnhancedMRImageStorage == pydicom.dcmread(path).SOPClassUID


def test_other_objects_are_no_image(volume, tmp_path):
    report = write_report(tmp_path / "sr" / "report", "1.2.840.10008.5.1.4.1.1.88.11")
    with pytest.raises(InputError, match="report: Basic Text SR, no image to segment"):
        read_series(report)
    with pytest.raises(InputError, match="sr: no DICOM images but 1 x Basic Text SR"):
        read_series(report.parent)
    disc = write_report(tmp_path / "disc" / "DICOMDIR", MediaStorageDirectoryStorage)
    with pytest.raises(InputError, match="DICOMDIR: directory of a disc, no image to segment; give its folder"):
        read_series(disc)
    scout = write_series(tmp_path / "scout", volume)
    for path in scout:
        change(path, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    with pytest.raises(InputError, match="scout: no DICOM images but 8 x localizer"):
        read_series(tmp_path / "scout")
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="none: no DICOM images"):
        read_series(tmp_path / "none")


def test_a_picture_without_position_is_no_slice_of_a_volume(tmp_path):
    path = write_picture(tmp_path / "us" / "1.2.840.1", np.arange(30).reshape(5, 6), UltrasoundImageStorage)
    assert read_series(path.parent).GetSize() == (6, 5)
