"""Folders as hospitals hand them over: several patients and series, reports and localizers, names that say nothing."""

import logging
import shutil

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    MediaStorageDirectoryStorage,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
    generate_uid,
)

from common.data import LoadImageOrSeriesd
from common.datasets.dicom import find_series, read_series, series_files
from common.errors import InputError
from common.runs.record import fingerprint
from tests.series import change, write_frames, write_picture, write_report, write_series

SIZE = (6, 5, 8)


@pytest.fixture
def volume():
    voxels = np.random.default_rng(0).integers(0, 500, SIZE).astype(np.int16)
    return nibabel.Nifti1Image(voxels, np.diag([1.0, 1.5, 2.0, 1.0]))


def found(root):
    return {series.name: series.path for series in find_series(root)}


def test_patients_and_series_at_any_depth(volume, tmp_path):
    write_series(tmp_path / "Müller^Ä" / "study" / "1.2.840.113619", volume)
    write_series(tmp_path / "d", volume)
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "note.txt").write_text("no image", encoding="utf-8")
    assert found(tmp_path) == {
        "Müller^Ä_study_1.2.840.113619": tmp_path / "Müller^Ä" / "study" / "1.2.840.113619",
        "d": tmp_path / "d",
    }
    assert found(tmp_path / "d") == {"d": tmp_path / "d"}
    assert found(tmp_path / "e") == {}


def test_links_to_folders_are_followed_and_circles_end(volume, tmp_path):
    write_series(tmp_path / "archive" / "a", volume)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "p1").symlink_to(tmp_path / "archive" / "a")
    (tmp_path / "archive" / "a" / "back").symlink_to(tmp_path / "in")
    assert found(tmp_path / "in") == {"p1": tmp_path / "in" / "p1"}
    assert read_series(tmp_path / "in" / "p1").GetSize() == SIZE


def test_several_series_in_one_folder_are_told_apart(volume, tmp_path):
    write_series(tmp_path / "all", volume, lambda data, k: setattr(data, "SeriesNumber", 3))
    first = {path: path.rename(path.with_name(f"a{path.name}")) for path in (tmp_path / "all").iterdir()}
    write_series(tmp_path / "all", volume, lambda data, k: setattr(data, "SeriesNumber", 7))
    series = found(tmp_path)
    assert set(series) == {"all_3", "all_7"} and series["all_3"] in first.values()
    for path in series.values():
        np.testing.assert_array_equal(read_series(path).GetSize(), SIZE)
    with pytest.raises(InputError, match=r"all: 2 series in one folder \(8, 8 images\)"):
        read_series(tmp_path / "all")
    assert series_files(series["all_3"]) == sorted(first.values())
    before = fingerprint([{"case": name, "image": path} for name, path in series.items()])
    for path in (tmp_path / "all").iterdir():
        if path in first.values():
            change(path, SeriesNumber=None)
    after = fingerprint([{"case": name, "image": path} for name, path in series.items()])
    assert after["all_3"] != before["all_3"] and after["all_7"] == before["all_7"]
    for path in (tmp_path / "all").iterdir():
        if path not in first.values():
            change(path, SeriesNumber=None)
    assert set(found(tmp_path)) == {"all_IM0000", "all_aIM0000"}


def test_other_objects_are_set_aside_with_a_line_each(volume, tmp_path, caplog):
    folder = tmp_path / "p"
    write_series(folder, volume)
    scout = write_series(tmp_path / "scout", volume, lambda d, k: setattr(d, "ImageType", ["A", "B", "LOCALIZER"]))
    scout[0].rename(folder / "scout.dcm")
    shutil.rmtree(tmp_path / "scout")
    write_report(folder / "report.dcm", "1.2.840.10008.5.1.4.1.1.88.11")
    write_report(folder / "state1", GrayscaleSoftcopyPresentationStateStorage)
    write_report(folder / "state2", GrayscaleSoftcopyPresentationStateStorage)
    write_report(folder / "vendor", "1.3.12.2.1107.5.9.1")
    write_report(folder / "DICOMDIR", MediaStorageDirectoryStorage)
    write_picture(folder / "dose", np.zeros((5, 6, 3)), SecondaryCaptureImageStorage)
    (folder / "Thumbs.db").write_bytes(b"\0" * 500)
    (folder / "._IM0000.dcm").write_bytes(b"Mac OS X")
    with caplog.at_level(logging.WARNING):
        assert found(tmp_path) == {"p": folder}
    said = "\n".join(record.message for record in caplog.records)
    reasons = ("1 x Basic Text SR", "2 x Grayscale Softcopy Presentation State", "1 x localizer", "1 x private object")
    for reason in (*reasons, "1 x picture of a screen"):
        assert f"{folder}: set aside: {reason}" in said
    assert "DICOMDIR" not in said and len(caplog.records) == 5
    assert read_series(folder).GetSize() == SIZE


def test_a_damaged_file_spoils_its_own_folder_alone(volume, tmp_path):
    write_series(tmp_path / "good", volume)
    write_series(tmp_path / "bad", volume)[7].write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 50)
    (tmp_path / "lost").mkdir()
    (tmp_path / "lost" / "x.dcm").write_bytes(b"no DICOM")
    series = found(tmp_path)
    assert set(series) == {"good", "bad", "lost_x"}
    assert read_series(series["good"]).GetSize() == SIZE
    for name in ("bad", "lost_x"):
        with pytest.raises(InputError, match="IM0049|x.dcm"):
            read_series(series[name])


def test_a_series_in_several_folders_is_one(volume, tmp_path):
    for k, path in enumerate(write_series(tmp_path / "p" / "0", volume)):
        (tmp_path / "p" / str(k // 3)).mkdir(exist_ok=True)
        path.rename(tmp_path / "p" / str(k // 3) / path.name)
    assert found(tmp_path) == {"p": tmp_path / "p"}
    assert read_series(tmp_path / "p").GetSize() == SIZE
    write_frames(tmp_path / "p" / "1" / "other", volume, [*range(8)])
    with pytest.raises(InputError, match="p/0 and .*p/1: slices of one series in folders that hold others too"):
        find_series(tmp_path)


def test_patients_of_one_identifier_stay_apart(volume, tmp_path, caplog):
    """Anonymization may give all series the same identifier, or none."""
    for name in "ab":
        write_series(tmp_path / name, volume, lambda data, k: setattr(data, "SeriesInstanceUID", "1.2.3"))
    with caplog.at_level(logging.WARNING):
        assert found(tmp_path) == {"a": tmp_path / "a", "b": tmp_path / "b"}
    assert "one series identifier; taken for 2 volumes" in caplog.text
    for name in "cd":
        write_series(tmp_path / name, volume, lambda data, k: delattr(data, "SeriesInstanceUID"))
    assert set(found(tmp_path)) == {*"abcd"}
    assert read_series(tmp_path / "d").GetSize() == SIZE


def test_names_say_nothing(volume, tmp_path):
    names = ["IM.7", "1.2.840.10008.1", "x.dcm", "X.DCM", "y.dicom", "no ending", "CT.1.2.3", "z.IMA"]
    for path, name in zip(write_series(tmp_path / "s", volume), names):
        path.rename(path.with_name(name))
    np.testing.assert_array_equal(LoadImageOrSeriesd("image")({"image": str(tmp_path / "s")})["image"].shape[1:], SIZE)
    for name in names[:3]:  # a file stands for its series
        image = LoadImageOrSeriesd("image")({"image": str(tmp_path / "s" / name)})["image"]
        assert image.shape[1:] == SIZE and image.meta["filename_or_obj"].endswith(name)


def test_files_without_preamble_are_known_by_their_elements(volume, tmp_path):
    for path in write_series(tmp_path / "old", volume):
        data = pydicom.dcmread(path)
        del data.file_meta
        data.preamble = None
        pydicom.dcmwrite(path, data, implicit_vr=True, little_endian=True)
        assert path.read_bytes()[:2] == b"\x08\x00"
    assert found(tmp_path) == {"old": tmp_path / "old"}
    image = LoadImageOrSeriesd("image")({"image": str(tmp_path / "old")})["image"]
    np.testing.assert_array_equal(image[0], volume.dataobj)


def test_multi_frame_files_are_volumes_of_their_own(volume, tmp_path):
    series = generate_uid()
    for name in ("b0.dcm", "b1000.dcm"):
        change(write_frames(tmp_path / "dwi" / name, volume, [*range(8)]), SeriesInstanceUID=series)
    assert found(tmp_path) == {f"dwi_{name[:-4]}": tmp_path / "dwi" / name for name in ("b0.dcm", "b1000.dcm")}
    for path in found(tmp_path).values():
        assert read_series(path).GetSize() == SIZE


def test_pictures_are_cases_of_their_own(tmp_path):
    for name in ("1.2.3", "4.dcm"):
        write_picture(tmp_path / "us" / name, np.full((5, 6), 7), UltrasoundImageStorage, SeriesInstanceUID="1.9")
    write_picture(tmp_path / "chest" / "x", np.full((5, 6), 7), ComputedRadiographyImageStorage)
    assert found(tmp_path) == {
        "us_1.2.3": tmp_path / "us" / "1.2.3",
        "us_4": tmp_path / "us" / "4.dcm",
        "chest": tmp_path / "chest",
    }
