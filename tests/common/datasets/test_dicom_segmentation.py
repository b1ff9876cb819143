"""DICOM segmentations: the same voxels read back by pydicom alone, valid, also of anonymized and unusual series."""

import shutil
import subprocess

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.uid import RLELossless, UltrasoundImageStorage
from skimage.color import lab2rgb

from common.data import LoadImageOrSeriesd, SaveDicomSegd, dicom_outputs
from common.datasets.dicom import segmentation
from common.datasets.dicom.codes import codes_of, color_of
from common.errors import InputError
from tests.series import change, write_frames, write_picture, write_series

pytest.importorskip("highdicom")
DCIODVFY = shutil.which("dciodvfy")
NAMES = ["left_atrium", "scar tissue"]


def volume(shear=0.0):
    affine = np.array([[-1.5, 0, 0, 30], [0, -1.25, shear, -7], [0, 0, 2.5, 11], [0, 0, 0, 1.0]])
    return nibabel.Nifti1Image(np.random.default_rng(0).integers(0, 500, (20, 18, 6)).astype(np.int16), affine)


@pytest.fixture
def segmented(tmp_path):
    """Write the segmentation of three blobs in the images at a path; returns it, the labels and their affine."""

    def call(path, names=NAMES):
        image = LoadImageOrSeriesd("image")({"image": str(path)})["image"]
        labels = image.clone().zero_()
        labels[0, 3:9, 2:7], labels[0, 12:15, 9:16] = 1, 2
        if labels.ndim == 4:
            labels[..., :1] = labels[..., -1:] = 0
        labels[0, 1, 1] = 2
        SaveDicomSegd("pred", str(tmp_path / "out"), names, 3)({"image": image, "pred": labels, "case": "c"})
        return tmp_path / "out" / "c.dcm", np.asarray(labels[0]).astype(int), np.asarray(image.affine)

    return call


def read_back(path):
    """Centers of the voxels of each segment, in mm and LPS, and their size, by pydicom alone."""
    data = pydicom.dcmread(path)
    shared, found = data.SharedFunctionalGroupsSequence[0], {}
    pixels = data.pixel_array if data.NumberOfFrames > 1 else data.pixel_array[None]
    for frame, mask in zip(data.PerFrameFunctionalGroupsSequence, pixels):
        number = int(frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        turned = (shared if "PlaneOrientationSequence" in shared else frame).PlaneOrientationSequence[0]
        measures = (shared if "PixelMeasuresSequence" in shared else frame).PixelMeasuresSequence[0]
        origin = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        x, y = np.array(turned.ImageOrientationPatient, float).reshape(2, 3)
        rows, columns = np.nonzero(mask)
        down, right = (float(value) for value in measures.PixelSpacing)
        points = origin + np.outer(columns * right, x) + np.outer(rows * down, y)
        found.setdefault(number, []).extend(map(tuple, points.round(3)))
    return {number: sorted(points) for number, points in found.items()}


def expected(labels, affine):
    result = {}
    for number in (1, 2):
        index = np.argwhere(labels == number)
        points = (affine @ np.c_[index, np.ones(len(index))].T)[:3].T * [-1, -1, 1]
        result[number] = sorted(map(tuple, points.round(3)))
    return result


def assert_good(path, labels, affine):
    assert {n: np.array(p) for n, p in read_back(path).items()}.keys() == {1, 2}
    for number, points in expected(labels, affine).items():
        np.testing.assert_allclose(read_back(path)[number], points, atol=2e-3)
    data = pydicom.dcmread(path)
    assert data.SeriesDescription == "Segmentation: left_atrium, scar tissue"
    assert [s.SegmentLabel for s in data.SegmentSequence] == NAMES
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        assert data[name].value.is_valid


def verified(path):
    """Errors that dciodvfy finds; none without it."""
    if DCIODVFY is None:
        return []
    done = subprocess.run([DCIODVFY, str(path)], capture_output=True, text=True, timeout=60)
    return [line for line in done.stderr.splitlines() if line.startswith("Error")]


def anonymize(path):
    """Remove what tools for anonymization remove, and leave what they write in its place."""
    data = pydicom.dcmread(path)
    for name in ("PatientID", "PatientBirthDate", "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
                 "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "ReferringPhysicianName",
                 "SliceThickness", "PositionReferenceIndicator", "Manufacturer", "SeriesNumber"):  # fmt: skip
        if name in data:
            delattr(data, name)
    data.PatientName, data.PatientSex = "anonymous", "X"
    data.add_new("PatientBirthDate", "DA", "removed")
    data.save_as(path)


def compress(path):
    data = pydicom.dcmread(path)
    data.compress(RLELossless)
    data.save_as(path)


def name_in_japanese(path):
    change(path, SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName="Yamada^Tarou=山田^太郎")


EDITS = {"plain": lambda path: None, "anonymized": anonymize, "compressed": compress, "japanese": name_in_japanese}


@pytest.mark.parametrize("edit", EDITS)
def test_voxels_of_a_series_come_back(edit, segmented, tmp_path):
    for path in write_series(tmp_path / "in", volume()):
        EDITS[edit](path)
    path, labels, affine = segmented(tmp_path / "in")
    assert_good(path, labels, affine)
    assert verified(path) == []
    frames = pydicom.dcmread(path).PerFrameFunctionalGroupsSequence
    sources = {f.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID for f in frames}
    assert sources <= {pydicom.dcmread(file).SOPInstanceUID for file in (tmp_path / "in").iterdir()}
    assert len(sources) == 6
    if edit == "japanese":
        assert str(pydicom.dcmread(path).PatientName) == "Yamada^Tarou=山田^太郎"


def test_voxels_of_a_tilted_series_come_back(segmented, tmp_path):
    write_series(tmp_path / "in", volume(shear=0.7))
    path, labels, affine = segmented(tmp_path / "in")
    np.testing.assert_allclose(affine, volume(shear=0.7).affine, atol=1e-4)
    assert_good(path, labels, affine)
    assert verified(path) == []


@pytest.mark.parametrize("edit", [None, anonymize])
def test_voxels_of_a_multi_frame_file_come_back(edit, segmented, tmp_path):
    file = write_frames(tmp_path / "in" / "enhanced", volume(), [3, 0, 5, 1, 2, 4])
    if edit:
        edit(file)
    path, labels, affine = segmented(file)
    assert_good(path, labels, affine)
    assert verified(path) == []
    for frame in pydicom.dcmread(path).PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        groups = pydicom.dcmread(file).PerFrameFunctionalGroupsSequence
        place = groups[int(source.ReferencedFrameNumber) - 1].PlanePositionSequence[0].ImagePositionPatient
        assert place == frame.PlanePositionSequence[0].ImagePositionPatient


def test_a_single_slice_comes_back(segmented, tmp_path):
    for path in write_series(tmp_path / "in", volume())[1:]:
        path.unlink()
    path, labels, affine = segmented(tmp_path / "in")
    assert_good(path, labels[..., None], affine)


@pytest.mark.skipif(DCIODVFY is None, reason="dciodvfy (Debian's dicom3tools) is not installed")
def test_the_verifier_finds_mistakes(segmented, tmp_path):
    """So that its silence elsewhere says something."""
    write_series(tmp_path / "in", volume())
    path = segmented(tmp_path / "in")[0]
    change(path, SegmentationType=None, StudyInstanceUID=None)
    assert len(verified(path)) >= 2


def test_what_cannot_be_referred_to_is_refused(segmented, tmp_path):
    for path in write_series(tmp_path / "one", volume()):
        change(path, SOPInstanceUID="1.2.3")
    with pytest.raises(InputError, match="no DICOM segmentation can be made of .*one .*no identifiers of their own"):
        segmented(tmp_path / "one")
    assert not (tmp_path / "out").exists()


def test_a_picture_without_position_gets_one_too(segmented, tmp_path):
    path, labels, _ = segmented(write_picture(tmp_path / "us" / "x", np.zeros((18, 20)), UltrasoundImageStorage))
    data = pydicom.dcmread(path)
    frames = data.PerFrameFunctionalGroupsSequence
    numbers = [int(frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber) for frame in frames]
    assert numbers == [1, 2]
    for number, mask in zip(numbers, data.pixel_array):
        np.testing.assert_array_equal(mask, number == labels.T)
    assert verified(path) == []


def test_long_names_are_cut_to_what_dicom_holds(segmented, tmp_path):
    write_series(tmp_path / "in", volume())
    path, *_ = segmented(tmp_path / "in", (70 * "x", "atrium"))
    written = pydicom.dcmread(path)
    assert written.SegmentSequence[0].SegmentLabel == 64 * "x"
    assert written.SeriesDescription == f"Segmentation: {50 * 'x'}"


def test_only_dicom_gets_a_segmentation(segmented, tmp_path, caplog):
    nibabel.save(volume(), tmp_path / "file.nii.gz")
    assert not segmented(tmp_path / "file.nii.gz")[0].exists()
    assert "no DICOM series, so no DICOM segmentation" in caplog.text


def test_what_is_missing_is_said_before_work_begins(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"class_names=\['atrium'\]: expected 2 names"):
        SaveDicomSegd("pred", str(tmp_path), ["atrium"], classes=3)
    monkeypatch.setattr(segmentation, "HAS_HIGHDICOM", False)
    with pytest.raises(InputError, match="pip install highdicom"):
        SaveDicomSegd("pred", str(tmp_path))
    assert dicom_outputs.SaveDicomSegd is SaveDicomSegd


@pytest.mark.parametrize(("name", "category", "code"), [
    ("left_atrium", "Anatomical Structure", "82471001"), ("Pancreas", "Anatomical Structure", "15776009"),
    ("myocardium", "Anatomical Structure", "74281007"), ("LV", "Anatomical Structure", "87878005"),
    ("right ventricle", "Anatomical Structure", "53085002"), ("prostate", "Anatomical Structure", "41216001"),
    ("lesion", "Morphologically Abnormal Structure", "52988006"),
    ("whole_tumor", "Morphologically Abnormal Structure", "108369006"),
    ("class 1", "Anatomical Structure", "91723000"), ("disc_rim", "Anatomical Structure", "91723000"),
    ("background", "Anatomical Structure", "91723000"),
])  # fmt: skip
def test_codes_follow_from_names(name, category, code):
    found = codes_of(name)
    assert (found[0].meaning, found[1].value, found[1].scheme_designator) == (category, code, "SCT")


def test_colors_can_be_told_apart():
    stored = np.array([color_of(number) for number in range(1, 11)])
    assert stored.min() >= 0 and stored.max() <= 65535 and len({tuple(c) for c in stored}) == 10
    lab = stored / 65535 * [100, 255, 255] - [0, 128, 128]
    np.testing.assert_allclose(lab2rgb(lab, illuminant="D50")[0] * 255, (220, 60, 60), atol=1)
    assert color_of(1) == color_of(11)
