"""Results never lie among the images, and take no file's place unasked; both are known before computing."""

import os

import pytest

from common.errors import InputError
from common.runs.preflight import require_free, require_other_folder


@pytest.fixture
def data(tmp_path, monkeypatch):
    (tmp_path / "data" / "images").mkdir(parents=True)
    (tmp_path / "data" / "images" / "a.nii.gz").write_bytes(b"image")
    (tmp_path / "link").symlink_to(tmp_path / "data" / "images")
    (tmp_path / "data" / "up").symlink_to(tmp_path / "data")
    monkeypatch.chdir(tmp_path / "data")
    return tmp_path


REFUSED = [
    ("images", "{data}/data/images"), ("images", "images/"), ("images", "./images"), ("images", "../data/images"),
    ("images", "up/images"), ("images", "up/up/images/../images"), ("images", "{data}/link"), ("{data}/link", "images"),
    ("images", "images/new"), ("images", "images/new/deeper"), ("images", "{data}/link/new"),
    ("{data}/link", "images/x"),
    ("images/a.nii.gz", "images"), ("images/a.nii.gz", "{data}/link"), (["images/a.nii.gz"], "up/images"),
    ("{data}/link/a.nii.gz", "images"), ("up", "new"), (".", "."), (".", "new"), ("a/..", "new"),
]  # fmt: skip


@pytest.mark.parametrize(("inputs", "target"), REFUSED)
def test_no_spelling_leads_among_the_images(data, inputs, target):
    (data / "data" / "a").mkdir()
    inputs = [part.format(data=data) for part in inputs] if isinstance(inputs, list) else inputs.format(data=data)
    with pytest.raises(InputError, match="holds the images to segment|lies inside the images to segment"):
        require_other_folder(target.format(data=data), inputs)


@pytest.mark.parametrize(("inputs", "target"), [
    ("images", "predictions"), ("images", "../new"), ("images/a.nii.gz", "images/new"), ("images", "."),
    ("images", "images_2"), ("images", "{data}"), ("nowhere", "new"),
])  # fmt: skip
def test_other_places_are_fine(data, inputs, target):
    require_other_folder(target.format(data=data), inputs)


CASES = [{"case": "a", "image": "in/a.nii.gz"}, {"case": "b", "image": "in/b.png"}]


@pytest.mark.parametrize(("there", "options"), [
    ("a.nii.gz", {}), ("b.png", {}), ("a_uncertainty.nii.gz", {"uncertainty": "entropy"}),
    ("b_probabilities.nii.gz", {"probabilities": True}), ("a.dcm", {"dicom_seg": True}),
])  # fmt: skip
@pytest.mark.parametrize("kind", ["file", "folder", "link to nothing"])
def test_what_is_there_is_replaced_only_when_asked(tmp_path, there, options, kind):
    if kind == "file":
        (tmp_path / there).write_bytes(b"corrected by hand")
    elif kind == "folder":
        (tmp_path / there).mkdir()
    else:
        os.symlink(tmp_path / "nowhere", tmp_path / there)
    with pytest.raises(InputError, match=r"holds .* already \(1 such files\); overwrite: true"):
        require_free(tmp_path, CASES, **options)
    if kind == "folder":  # no file can take its place
        with pytest.raises(InputError, match=f"{there} is a folder"):
            require_free(tmp_path, CASES, overwrite=True, **options)
    else:
        require_free(tmp_path, CASES, overwrite=True, **options)
    if options:
        require_free(tmp_path, CASES)


def test_two_results_of_one_name_are_refused(tmp_path):
    cases = [{"case": "a", "image": "a.nii"}, {"case": "a_uncertainty", "image": "a_uncertainty.nii"}]
    require_free(tmp_path, cases)
    with pytest.raises(InputError, match=r"both would write a_uncertainty\.nii\.gz"):
        require_free(tmp_path, cases, uncertainty="entropy", overwrite=True)
