"""Labels that a network made teach the next one."""

import json

import nibabel
import numpy as np
import pytest
from PIL import Image

from common.data import Phantom
from common.errors import InputError
from tests.tools import archives
from tools.plan import plan
from tools.rounds import as_text, rounds

SHORT = {"iterations": 60, "epoch_length": 30, "base_channels": 4, "learning_rate": 0.1}


@pytest.fixture
def planned(tmp_path):
    for patient in range(8):
        image, label = Phantom((32, 32, 16)).sample(patient)
        archives.write(image, tmp_path / "data" / "images" / f"p{patient}.nii.gz")
        if patient < 4:
            archives.write(label, tmp_path / "data" / "labels" / f"p{patient}.nii.gz")
    plan(str(tmp_path / "data"), validation=1, device="cpu", output=str(tmp_path / "out"))
    return str(tmp_path / "out" / "plan.yaml")


def test_a_round_learns_from_the_surest_labels_of_the_one_before(planned, tmp_path, capsys):
    root = tmp_path / "rounds"
    found = rounds(planned, str(root), keep=0.5, **SHORT)
    lists = [json.loads((root / f"round_{number}.json").read_text(encoding="utf-8")) for number in (0, 1)]
    (held,) = lists[0]["validation"]
    made = found["labels made"]["round 1"]
    assert len(lists[0]["unlabeled"]) == 4 and len(made) == 2 and set(made) < set(lists[0]["unlabeled"])
    assert set(lists[1]["labeled"]) == {*lists[0]["labeled"], *made} and lists[1]["validation"] == [held]
    assert set(lists[1]["unlabeled"]) == set(lists[0]["unlabeled"]) - set(made)
    for case in made:
        (path,) = lists[1]["files"][case]["label"]
        label = nibabel.load(path)
        image = nibabel.load(tmp_path / "data" / "images" / f"{case}.nii.gz")
        assert path == str(root / "labels_of_round_0" / f"{case}.nii.gz") and np.asarray(label.dataobj).max() <= 1
        assert label.shape == image.shape and np.allclose(label.affine, image.affine)
    assert sorted(path.name for path in (root / "labels_of_round_0").iterdir()) == [f"p{n}.nii.gz" for n in range(4, 8)]
    record = json.loads((root / "round_1" / "record.json").read_text(encoding="utf-8"))
    assert set(record["data"]) == {f"p{n}" for n in range(8)}
    assert [row["round"] for row in found["rounds"]] == [0, 1] and "gain" in found["rounds"][1]
    assert "to round 0" in capsys.readouterr().out
    stamps = [(root / f"round_{number}" / "model.pt").stat().st_mtime_ns for number in (0, 1)]
    assert rounds(planned, str(root), keep=0.5, **SHORT) == found
    assert stamps == [(root / f"round_{number}" / "model.pt").stat().st_mtime_ns for number in (0, 1)]
    with pytest.raises(InputError, match="rounds.json: keep was 0.5, not 0.25; choose another output_dir"):
        rounds(planned, str(root), keep=0.25, **SHORT)


def test_pictures_whose_masks_hold_another_value_for_the_background(tmp_path):
    for patient in range(6):
        image, label = (volume[:, :, 8] for volume in map(np.asarray, Phantom((32, 32, 16)).sample(patient)))
        for folder, values in (("images", 255 * image.clip(0, 1)), ("labels", np.where(label > 0, 0, 255))):
            (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
            if folder == "images" or patient < 3:
                Image.fromarray(values.astype(np.uint8)).save(tmp_path / "data" / folder / f"p{patient}.png")
    plan(str(tmp_path / "data"), labeled=3, group="none", device="cpu", output=str(tmp_path / "out"))
    root = tmp_path / "rounds"
    found = rounds(str(tmp_path / "out" / "plan.yaml"), str(root), keep=0.6, encoding="prostate", **SHORT)
    record = json.loads((root / "round_0" / "record.json").read_text(encoding="utf-8"))
    assert found["made by"] == {"round 1": record["weights"]["model.pt"]}
    for case, unsure in found["labels made"]["round 1"].items():
        values = np.unique(np.asarray(Image.open(root / "labels_of_round_0" / f"{case}.png")))
        assert 0 in values and set(values) <= {0, 255} and 0 < unsure < 1


def test_images_in_which_nothing_is_found_teach_nothing(planned, tmp_path):
    for path in (tmp_path / "data" / "labels").iterdir():
        archives.write(np.eye(32, dtype=np.uint8)[:, :, None] * np.eye(1, 16, dtype=np.uint8), path)
    with pytest.raises(InputError, match="labels_of_round_0: nothing was found in any image, so there is nothing to"):
        rounds(planned, str(tmp_path / "rounds"), keep=0.5, **SHORT)
    assert not (tmp_path / "rounds" / "round_1.json").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keep": 1}, "4 unlabeled images; --keep 1 must take some of them and leave some"),
        ({"keep": 0.1}, "--keep 0.1 must take some"),
        ({"keep": 2}, "--keep 2: expected a number above 0"),
        ({"count": 0}, "--count 0"),
        ({"splits": "x.json"}, "--splits: the rounds say that themselves"),
        ({"iterationz": 4}, "iterationz: no such option"),
    ],
)
def test_wrong_use_is_told_before_anything_is_made(planned, tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        rounds(planned, str(tmp_path / "rounds"), **options)
    assert not (tmp_path / "rounds").exists()


def test_what_was_not_measured_is_said():
    assert "whether the rounds help is not known" in as_text({"rounds": []})
