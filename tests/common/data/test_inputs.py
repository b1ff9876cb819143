import nibabel
import numpy as np
import pytest

from common.data import LoadImageOrSeriesd, ReadableCases
from common.datasets import find_images
from common.errors import InputError
from tests.series import write_series


@pytest.fixture
def volume():
    return nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))


def test_files_series_and_folders_of_either(volume, tmp_path):
    write_series(tmp_path / "in" / "patient" / "1.2.840.7", volume)
    nibabel.save(volume, tmp_path / "in" / "b.v2.nii.gz")
    (tmp_path / "in" / "a.png").touch()
    (tmp_path / "in" / "notes.txt").touch()
    folder = tmp_path / "in"
    a = {"image": str(folder / "a.png"), "case": "a"}
    b = {"image": str(folder / "b.v2.nii.gz"), "case": "b.v2"}
    series = str(folder / "patient" / "1.2.840.7")
    assert find_images(folder) == [a, b, {"image": series, "case": "patient_1.2.840.7"}]
    assert find_images(series) == [{"image": series, "case": "1.2.840.7"}]
    assert find_images(str(folder / "b.v2.nii.gz")) == [b]
    assert find_images([str(folder / "b.v2.nii.gz"), str(folder / "a.png")]) == [b, a]


def test_what_cannot_be_found_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such image"):
        find_images([str(tmp_path / "nowhere")])
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="no DICOM series and no image"):
        find_images(tmp_path)


def test_two_results_of_one_name_are_refused(tmp_path):
    for name in ("x/case.nii", "y/case.nrrd"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    with pytest.raises(InputError, match="both results would be named case"):
        find_images([str(tmp_path / "x"), str(tmp_path / "y")])


def test_unusable_cases_are_reported_and_left_out(volume, tmp_path, caplog):
    nibabel.save(volume, tmp_path / "good.nii.gz")
    (tmp_path / "cut.nii.gz").write_bytes((tmp_path / "good.nii.gz").read_bytes()[:60])
    hole = np.ones((2, 3, 4), np.float32)
    hole[0, 0, 0] = np.nan
    nibabel.save(nibabel.Nifti1Image(hole, np.eye(4)), tmp_path / "hole.nii.gz")
    paths = write_series(tmp_path / "series", volume)
    paths[1].unlink()
    cases = ReadableCases(find_images(tmp_path), LoadImageOrSeriesd("image"))
    cases.require_all()  # nothing is known before the first iteration
    assert [case["case"] for case in cases] == ["good"]
    lines = [record.message for record in caplog.records if record.name == "ReadableCases"]
    assert [line.split(": ")[0].split("/")[-1] for line in lines] == ["cut.nii.gz", "hole.nii.gz", "series"]
    with pytest.raises(InputError, match="3 of 4 images could not be used: .*cut.nii.gz"):
        cases.require_all()


def test_nothing_usable_is_an_error_at_once(tmp_path):
    (tmp_path / "broken.nii").touch()
    with pytest.raises(InputError, match="1 of 1 images"):
        list(ReadableCases(find_images(tmp_path), LoadImageOrSeriesd("image")))
