"""Resuming, errors that do not stop the others, whole files, and searching the splits for leaks."""

import json
import random
import shutil

import numpy as np
import pytest
import SimpleITK as sitk

from common.errors import InputError
from tests.tools import archives
from tools.prepare import prepare, runner
from tools.prepare.conversion import Conversion, Dataset
from tools.prepare.lists import by_list, draw, drawn
from tools.volumes import array, resample, same_grid


@pytest.fixture
def source(tmp_path):
    for n in range(4):
        image, label = archives.volume(n)
        archives.h5(tmp_path / "in" / f"case{n}.h5", image, label=label)
    return tmp_path / "in"


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in (folder / "images").iterdir()}


def test_a_second_call_makes_only_what_is_missing_or_changed(source, tmp_path, capsys):
    out = tmp_path / "out"
    prepare("h5", str(source), str(out))
    before = times(out)
    (out / "images" / "case0.nii.gz").unlink()
    (out / "labels" / "case1.nii.gz").write_bytes(b"cut")
    archives.h5(source / "case2.h5", np.ones((4, 4, 4)) + np.eye(4), label=np.eye(4, dtype=np.uint8)[None].repeat(4, 0))
    capsys.readouterr()
    prepare("h5", str(source), str(out))
    after = times(out)
    assert [name for name in before if before[name] == after[name]] == ["case3.nii.gz"]
    assert "converted                      3\nalready done                   1" in capsys.readouterr().out
    prepare("h5", str(source), str(out), spacing=2.0)  # other settings: everything anew
    assert all(times(out)[name] != after[name] for name in after)


def test_a_killed_run_goes_on_from_its_manifest(source, tmp_path, monkeypatch):
    done, write = [], runner._write
    monkeypatch.setattr(runner, "SAVE_EVERY", 0.0)

    def killed(image, path):
        if len(done) == 5:
            raise KeyboardInterrupt
        write(image, path)
        done.append(path)

    monkeypatch.setattr(runner, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare("h5", str(source), str(tmp_path / "out"), workers=1)
    finished = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))["cases"]
    assert len(finished) == 2 and len(times(tmp_path / "out")) == 2  # the third was half-written: removed
    monkeypatch.setattr(runner, "_write", write)
    before = times(tmp_path / "out")
    prepare("h5", str(source), str(tmp_path / "out"))
    after = times(tmp_path / "out")
    assert len(after) == 4 and all(after[name] == before[name] for name in before)


def test_what_is_wrong_with_one_case_stops_no_other(source, tmp_path, capsys):
    image, label = archives.volume(0)
    (source / "corrupt.h5").write_bytes(b"nothing")
    archives.h5(source / "nan.h5", np.where(label > 0, np.nan, image), label=label)
    archives.h5(source / "shape.h5", image, label=label[1:])
    archives.h5(source / "keys.h5", image)
    shutil.move(source / "keys.h5", source / "nokey.h5")
    archives.h5(source / "fraction.h5", image, label=label * 0.5)
    with pytest.raises(InputError, match="4 of 9 cases failed, see above"):
        prepare("h5", str(source), str(tmp_path / "out"))
    text = capsys.readouterr().out
    for name, reason in {
        "corrupt": "cannot be read",
        "nan": "the image holds NaN or infinite values",
        "shape": "arrays of shapes [(24, 20, 12), (23, 20, 12)]",
        "fraction": "label values must be whole numbers",
    }.items():
        assert any(line.startswith(f"FAILED {name}: ") and reason in line for line in text.splitlines())
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert set(manifest["failed"]) == {"corrupt", "nan", "shape", "fraction"} and len(manifest["cases"]) == 5
    splits = json.loads((tmp_path / "out" / "splits.json").read_text(encoding="utf-8"))
    assert "nokey" in splits["unlabeled"] + splits.get("test", []) + splits.get("unlisted", [])


def series(root, **options):
    image, label = archives.volume(1, (16, 16, 8), low=-60, high=240)
    source = archives.pancreas(root, (2,), size=(16, 16, 8))
    folder = source / "Pancreas-CT" / "PANCREAS_0001" / "study" / "series"
    archives.write_series(image, folder, (0.8, 0.8, 2.5), **options)
    archives.write(label[:, ::-1], source / "labels" / "label0001.nii.gz", spacing=(0.8, 0.8, 2.5),
                   direction=(1, 0, 0, 0, -1, 0, 0, 0, 1))  # fmt: skip
    return source, folder


def test_a_series_with_a_hole(tmp_path, capsys):
    source, folder = series(tmp_path / "in", skip=(3,))
    with pytest.raises(InputError, match="1 of 2 cases failed"):
        prepare("pancreas", str(source), str(tmp_path / "out"))
    assert f"FAILED PANCREAS_0001: {folder}: 1 slices missing, the first after 000002.dcm" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "out" / "images").iterdir()] == ["PANCREAS_0002.nii.gz"]


def test_series_with_uneven_slices_mixed_or_corrupt(tmp_path, capsys):
    source, folder = series(tmp_path / "in", z=[0, 2.5, 5, 7.5, 11.2, 13.7, 16.2, 18.7])
    with pytest.raises(InputError):
        prepare("pancreas", str(source), str(tmp_path / "uneven"))
    archives.write_series(archives.volume(1, (16, 16, 8))[0], folder, (0.8, 0.8, 2.5))
    other = archives.write_series(archives.volume(5, (16, 16, 2))[0], tmp_path / "other", series="1.2.3.9")
    shutil.copy(other / "000000.dcm", folder / "other.dcm")
    with pytest.raises(InputError):
        prepare("pancreas", str(source), str(tmp_path / "mixed"))
    (folder / "other.dcm").unlink()
    (folder / "000004.dcm").write_bytes((folder / "000004.dcm").read_bytes()[:200])
    with pytest.raises(InputError):
        prepare("pancreas", str(source), str(tmp_path / "corrupt"))
    text = capsys.readouterr().out
    assert "uneven slice spacing, 2.500 to 3.700 mm" in text
    assert "2 scans of PANCREAS_0001; keep one" in text
    assert "000004.dcm: " in text


def test_label_without_image_and_image_without_label(tmp_path, capsys):
    source = archives.pancreas(tmp_path / "in", (1, 2, 3), size=(16, 16, 8))
    shutil.rmtree(source / "Pancreas-CT" / "PANCREAS_0001")
    (source / "labels" / "label0002.nii.gz").unlink()
    with pytest.raises(InputError, match="2 of 3 cases failed"):
        prepare("pancreas", str(source), str(tmp_path / "out"))
    text = capsys.readouterr().out
    assert "label0001.nii.gz: a label without its scan" in text
    assert "PANCREAS_0002/study/series: a scan without its label" in text


def test_two_copies_of_a_case_are_refused(tmp_path):
    for copy in ("one", "two"):
        archives.acdc(tmp_path / "in" / copy, ["patient001"])
    with pytest.raises(InputError, match="several cases are named patient001_frame01; give the folder of one copy"):
        prepare("acdc", str(tmp_path / "in"), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dataset", ["la2018", "pancreas", "brats2019", "acdc", "nci_isbi2013", "busi", "h5", "folder"])
def test_the_wrong_archive_is_refused_and_nothing_written(tmp_path, dataset):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "readme.txt").write_text("something else", encoding="utf-8")
    with pytest.raises(InputError, match=str(tmp_path / "in")):
        prepare(dataset, str(tmp_path / "in"), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_options_and_folders_are_checked(source, tmp_path):
    with pytest.raises(InputError, match="nothing: no such data set; there are la2018, pancreas"):
        prepare("nothing", str(source), str(tmp_path / "out"))
    with pytest.raises(InputError, match="--crob: no such option of la2018; there are crop, window_from"):
        prepare("la2018", str(source), str(tmp_path / "out"), crob="label")
    with pytest.raises(InputError, match="must not lie in the source"):
        prepare("h5", str(source), str(source / "out"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    with pytest.raises(InputError, match="is not empty and was not made by prepare"):
        prepare("h5", str(source), str(tmp_path / "full"))


def test_copies_across_the_splits_are_reported(source, tmp_path, capsys):
    image, label = archives.volume(0)
    archives.h5(source / "copy.h5", image, label=label)
    (source / "train.list").write_text("case0\ncase1\n", encoding="utf-8")
    (source / "test.list").write_text("case2\ncopy\n", encoding="utf-8")
    prepare("h5", str(source), str(tmp_path / "out"))
    assert "LEAK case0: image identical to copy, label identical too across train and test" in capsys.readouterr().out


def case(name, patient="", split=None):
    return Conversion(name, (), lambda: (), split, patient=patient)


def test_splits_are_drawn_by_patient_and_by_seed_alone():
    cases = [case(f"p{n // 3}_{n % 3}", f"p{n // 3}") for n in range(30)]
    shuffled = random.Random(5).sample(cases, len(cases))
    one, other = (drawn(Dataset(list(c), 2), 0.2, seed=1).cases for c in (cases, shuffled))
    sides = {c.patient: {o.split for o in one if o.patient == c.patient} for c in one}
    assert all(len(splits) == 1 for splits in sides.values())
    assert sum(splits == {"test"} for splits in sides.values()) == 2
    assert {c.name: c.split for c in one} == {c.name: c.split for c in other}
    assert draw(list("abcdefgh"), {"test": 0.5}, 1) != draw(list("abcdefgh"), {"test": 0.5}, 2)


def test_an_unlabeled_image_of_a_test_patient_is_left_out():
    cases = [case("p0_0", "p0"), case("p0_1", "p0", "train"), case("p1_0", "p1"), case("p2_0", "p2", "train")]
    result = {c.name: c.split for c in drawn(Dataset(cases, 2), 0.5, seed=1).cases}
    test = next(name[:2] for name, split in result.items() if split == "test")
    assert result["p2_0"] == "train" and (result["p0_1"] is None) == (test == "p0")


def test_published_order_wins_and_gaps_are_named():
    ordered, missing = by_list([case(n) for n in "abcd"], {"train": ["c", "x", "a"], "test": ["d"]}, lambda c: c.name)
    assert [(c.name, c.split) for c in ordered] == [("c", "train"), ("a", "train"), ("d", "test"), ("b", None)]
    assert missing == ["x"]


def test_resampling_keeps_the_place_of_things():
    values = np.zeros((10, 10, 10), np.float32)
    values[3:7, 2:6, 4:8] = 1
    image = archives.to_image(values, (2.0, 2.0, 2.0), origin=(5.0, 6.0, 7.0))
    fine = resample(image, (1.0, 1.0, 1.0), label=True)
    assert fine.GetSize() == (20, 20, 20)
    np.testing.assert_array_equal(array(fine), values.repeat(2, 0).repeat(2, 1).repeat(2, 2))
    assert fine.GetOrigin() == pytest.approx((4.5, 5.5, 6.5))
    smooth = sitk.GetArrayFromImage(resample(image, (1.0, 1.0, 1.0)))
    assert np.corrcoef(smooth.ravel(), sitk.GetArrayFromImage(fine).ravel())[0, 1] > 0.95
    assert same_grid(fine, sitk.Image(fine)) and not same_grid(fine, image)
