"""Patients that names do not tell: images that look alike stay in one list, in plans and in folds."""

import json

import numpy as np
import pytest
from scipy import ndimage

from common.data import Phantom
from common.datasets import load_datalist
from common.datasets.likeness import signature
from common.errors import InputError
from tests.tools import archives
from tests.tools.test_plan import planned
from tools.check import check
from tools.folds import folds
from tools.plan.patients import look_alike

NAMES = ["oak", "elm", "ash", "fir", "yew", "bay", "box", "fig", "gum", "may", "nut", "pea"]  # a patient's: six apart
SIZE = (32, 32, 16)


def texture(seed, noise=0.0):
    """A volume of its own structure; noisy copies of it look like it."""
    rng = np.random.default_rng(seed)
    scan = ndimage.gaussian_filter(rng.normal(size=SIZE), 1.5)
    scan = scan / scan.std() + noise * np.random.default_rng(seed + 99).normal(size=SIZE)
    return (100 * scan).astype(np.float32)


@pytest.fixture
def twins(tmp_path):
    """Two frames of each of six patients, whose names say nothing; one frame of each is labeled, of the last none."""
    _, label = Phantom(SIZE).sample(0)
    for number, name in enumerate(NAMES):
        archives.write(texture(number % 6, noise=0.1 * (number // 6)), tmp_path / "images" / f"{name}.nii.gz")
        if number < 5:
            archives.write(label, tmp_path / "labels" / f"{name}.nii.gz")
    return tmp_path


def lists_of(folder):
    return json.loads((folder / "splits.json").read_text(encoding="utf-8"))


def sides_of(lists):
    """Patients of training and of validation."""
    owners = {role: {NAMES.index(name) % 6 for name in lists[role]} for role in ("labeled", "unlabeled", "validation")}
    return owners["labeled"] | owners["unlabeled"], owners["validation"]


def test_frames_of_a_patient_stay_on_one_side_and_the_plan_says_so(twins, tmp_path_factory, capsys):
    values = planned(twins, validation=2)
    training, validation = sides_of(lists_of(twins))
    assert len(validation) == 2 and not training & validation
    text = (twins / "plan.yaml").read_text(encoding="utf-8")
    assert "\n# alike, taken for one patient each: " in text and "; and 3 more (--group none" in text
    assert values["group"] is None and "12 that look alike are of 6 (patients in splits.json)" in text
    load_datalist(twins)  # which refuses a patient on two sides
    report = tmp_path_factory.mktemp("report")
    capsys.readouterr()
    check(str(twins), output=str(report))
    assert "alike" not in capsys.readouterr().out  # it is known by now


def test_every_image_is_a_patient_of_its_own_where_the_user_says_so(twins):
    planned(twins, group="none", validation=2)
    lists, text = lists_of(twins), (twins / "plan.yaml").read_text(encoding="utf-8")
    assert "patients" not in lists and len(lists["unlabeled"]) == 7 and "alike" not in text
    planned(twins, group="{patient}?", validation=2)
    text = (twins / "plan.yaml").read_text(encoding="utf-8")
    assert "# alike, but not of one patient by --group: " in text and "patients" not in lists_of(twins)
    assert lists_of(twins)["group"] == "{patient}?"


def test_lists_are_drawn_anew_on_request_for_images_that_came_since(twins):
    planned(twins)
    before = lists_of(twins)
    archives.write(texture(50), twins / "images" / "new.nii.gz")
    planned(twins)
    assert lists_of(twins) == before
    planned(twins, redraw=True)
    assert "new" in lists_of(twins)["unlabeled"] and lists_of(twins)["labeled"] == before["labeled"]


def test_patients_may_be_changed_by_hand(twins):
    planned(twins)
    lists = lists_of(twins)
    lists["patients"] |= {"oak": "one", "box": "another", "elm": "third", "ash": "third"}
    (twins / "splits.json").write_text(json.dumps(lists), encoding="utf-8")
    planned(twins, redraw=True, validation=2)
    found = lists_of(twins)["patients"]
    assert (found["oak"], found["box"], found["elm"], found["ash"]) == ("one", "another", "third", "third")
    owners = [{found[name] for name in lists_of(twins)[role]} for role in ("labeled", "validation")]
    assert len(owners[1]) == 2 and not owners[0] & owners[1]


def test_lists_that_somebody_made_or_changed_are_not_drawn_anew(twins):
    planned(twins)
    lists, path = lists_of(twins), twins / "splits.json"
    (twins / "plan.yaml").unlink()
    path.write_text(json.dumps({**lists, "labeled": lists["labeled"][1:]}), encoding="utf-8")
    with pytest.raises(InputError, match=r"splits\.json: was changed since a plan drew it"):
        planned(twins, redraw=True, overwrite=False)
    del lists["origin"]
    path.write_text(json.dumps(lists), encoding="utf-8")
    with pytest.raises(InputError, match=r"splits\.json: not drawn by a plan, so --redraw leaves it"):
        planned(twins, redraw=True)
    with pytest.raises(InputError, match=r"--redraw 1: expected True or False"):
        planned(twins, redraw=1)


def test_a_fold_holds_out_all_images_of_its_patients(twins, tmp_path, monkeypatch):
    planned(twins)
    monkeypatch.setattr("tools.folds.work_off", lambda *_: ["stopped before the first"])
    with pytest.raises(InputError, match="stopped before the first"):
        folds(str(twins / "plan.yaml"), str(tmp_path / "out"), folds=5)
    for number in range(1, 6):
        lists = json.loads((tmp_path / "out" / f"fold_{number}.json").read_text(encoding="utf-8"))
        training, validation = sides_of(lists)
        assert len(validation) == 1 and not training & validation
        load_datalist(twins, splits=str(tmp_path / "out" / f"fold_{number}.json"))


def marks(values):
    return {name: signature(value, (2, 2, 1)) for name, value in values.items()}


def test_names_and_looks_are_joined():
    names = [f"p{p}_frame{f}" for p in range(4) for f in (1, 2)]
    scans = {name: texture(n) for n, name in enumerate(names)}
    scans["p3_frame2"] = scans["p0_frame1"].copy()
    found = look_alike(marks(scans))
    assert found.group == "{patient}_frame{number}"
    assert found.patients == {name: "p0" for name in names if name[:2] in ("p0", "p3")}
    assert look_alike(marks(scans), "{patient}_*").patients == {}


def test_looks_choose_a_template_that_also_holds_frames_unlike():
    names = [f"s{p}_{side}" for p in range(8) for side in "ab"]
    scans = {name: texture(n if n >= 8 else n // 2, noise=0.05 * (n % 2)) for n, name in enumerate(names)}
    found = look_alike(marks(scans))
    assert found.group == "{patient}_*" and "alike" in found.how and not found.patients


def test_images_that_all_look_alike_tell_no_patients():
    found = look_alike(marks({name: texture(0, noise=0.01 * n) for n, name in enumerate(NAMES)}))
    assert not found.patients and "12 images look alike, too many for a patient" in found.told(False)


def test_unlike_images_are_left_alone():
    found = look_alike(marks({name: texture(n) for n, name in enumerate(NAMES)}))
    assert (found.group, found.patients, found.told(False)) == (None, {}, "")
