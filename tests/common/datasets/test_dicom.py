import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from common.datasets.dicom import read_series, series_folders
from common.errors import InputError
from tests.series import change, write_series


@pytest.fixture
def volume():
    voxels = np.random.default_rng(0).integers(0, 500, (6, 5, 8)).astype(np.int16)
    return nibabel.Nifti1Image(voxels, np.diag([1.0, 1.5, 2.0, 1.0]))


def drop(paths):
    paths[3].unlink()
    paths[4].unlink()


def cut(paths):
    paths[2].write_bytes(paths[2].read_bytes()[:-20])


def cut_header(paths):
    paths[2].write_bytes(paths[2].read_bytes()[:200])


def scramble(paths):
    slice_ = pydicom.dcmread(paths[2])
    slice_.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    slice_.PixelData = encapsulate([b"no JPEG at all"])
    slice_["PixelData"].VR = "OB"
    slice_["PixelData"].is_undefined_length = True
    slice_.save_as(paths[2])


def mix(paths):
    change(paths[0], SeriesInstanceUID="1.2.3.4")


def shift(paths):
    change(paths[5], ImagePositionPatient=[0, 0, 10.7])


def repeat(paths):
    (paths[0].parent / "copy").write_bytes(paths[0].read_bytes())


def turn(paths):
    change(paths[1], ImageOrientationPatient=[0, 1, 0, 1, 0, 0])


def widen(paths):
    change(paths[1], PixelSpacing=[1.0, 2.0])


DAMAGE = {
    drop: "2 slices missing, the first after IM0014",
    cut: "IM0014: not a readable DICOM slice",
    scramble: "IM0014: pixel data cannot be read",
    cut_header: "IM0014: not a readable DICOM slice",
    mix: "2 series in one folder",
    shift: "uneven slice spacing, 1.300 to 2.700 mm",
    repeat: "has the position of",
    turn: "orientation differs",
    widen: "IM0007: size or pixel spacing differs",
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.items(), ids=[f.__name__ for f in DAMAGE])
def test_a_damaged_series_says_what_is_wrong(damage, message, volume, tmp_path):
    damage(write_series(tmp_path / "series", volume))
    with pytest.raises(InputError, match=message) as caught:
        read_series(tmp_path / "series")
    assert str(tmp_path / "series") in str(caught.value)


def test_a_single_slice_is_no_volume(volume, tmp_path):
    for path in write_series(tmp_path / "series", volume)[1:]:
        path.unlink()
    with pytest.raises(InputError, match="one slice is no volume"):
        read_series(tmp_path / "series")


def test_folders_are_found_at_any_depth(volume, tmp_path):
    write_series(tmp_path / "a" / "b" / "c", volume)
    write_series(tmp_path / "d", volume)
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "note.txt").write_text("no image", encoding="utf-8")
    assert series_folders(tmp_path) == [tmp_path / "a" / "b" / "c", tmp_path / "d"]
    assert series_folders(tmp_path / "d") == [tmp_path / "d"]
