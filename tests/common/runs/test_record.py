"""Sums of what a run was trained on."""

import hashlib
import json

import nibabel
import numpy as np
import pytest

from common.errors import InputError
from common.runs.record import case_name, fingerprint, read_record, write_record
from tests.series import write_series


def sum_of(data):
    return hashlib.sha256(data).hexdigest()


def test_a_case_has_the_sums_of_its_files(tmp_path):
    for name, data in (("a.nii", b"one"), ("a_label.nii", b"two"), ("m1.png", b"three"), ("m2.png", b"four")):
        (tmp_path / name).write_bytes(data)
    cases = [
        {"case": "a", "image": str(tmp_path / "a.nii"), "label": str(tmp_path / "a_label.nii")},
        {"image": str(tmp_path / "m1.png"), "label": [str(tmp_path / "m1.png"), str(tmp_path / "m2.png")]},
    ]
    assert fingerprint(cases) == {
        "a": {"image": sum_of(b"one"), "label": sum_of(b"two")},
        "m1.png": {"image": sum_of(b"three"), "label": sum_of((sum_of(b"three") + sum_of(b"four")).encode())},
    }
    assert case_name(cases[0]) == "a" and case_name(cases[1]) == "m1.png"


def test_a_series_has_the_sum_of_all_its_files(tmp_path):
    folder = tmp_path / "series"
    write_series(folder, nibabel.Nifti1Image(np.arange(120, dtype=np.int16).reshape(5, 6, 4), np.eye(4)))
    whole = fingerprint([{"case": "s", "image": str(folder)}])["s"]["image"]
    file = sorted(path for path in folder.iterdir() if path.is_file())[-1]
    assert fingerprint([{"case": "s", "image": str(file)}])["s"]["image"] == whole
    file.unlink()
    assert fingerprint([{"case": "s", "image": str(folder)}])["s"]["image"] != whole


@pytest.mark.parametrize("weights", [[1], "model.pt", {"model.pt": 3}], ids=str)
def test_a_record_whose_checksums_are_none_is_refused(tmp_path, weights):
    (tmp_path / "record.json").write_text(json.dumps({"weights": weights}), encoding="utf-8")
    with pytest.raises(InputError, match=r"record\.json: weights: expected the checksum of each file"):
        read_record(tmp_path)


def test_a_record_tells_what_was_written_and_on_what(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"weights")
    write_record(tmp_path, ("model.pt", "model_best.pt"), iterations=7, data={"a": {"image": "1"}})
    found = read_record(tmp_path)
    assert found["weights"] == {"model.pt": sum_of(b"weights")}
    assert found["iterations"] == 7 and found["data"] == {"a": {"image": "1"}} and found["finished"]
    assert found["packages"]["torch"] and found["machine"]["threads"] >= 1
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("model.pt", "record.json")] == []
