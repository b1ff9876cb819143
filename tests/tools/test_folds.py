"""A planned training measured on its own labeled patients."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from common.data import Phantom, write_phantoms
from common.datasets import load_datalist
from common.errors import InputError
from common.groups import grouping
from common.runs import load_weights
from tests.tools import archives
from tools.ensemble import ensemble
from tools.folds import as_text, calibrated, cases_of, deal, folds, out_of_fold, write_lists
from tools.plan import plan
from tools.runs import require_run

SHORT = {"iterations": 2, "epoch_length": 2, "base_channels": 4, "amp": False, "device": "cpu", "val_interval": 100}


@pytest.fixture
def planned(tmp_path):
    for patient in range(4):
        for frame in (1, 2):
            image, label = Phantom((32, 32, 16)).sample(patient)
            name = f"p{patient}_frame{frame:02d}.nii.gz"
            archives.write(image, tmp_path / "data" / "images" / name)
            if patient < 3:
                archives.write(label, tmp_path / "data" / "labels" / name)
    plan(str(tmp_path / "data"), device="cpu", memory=16.0)
    return tmp_path / "data" / "plan.yaml"


def test_every_labeled_case_is_measured_by_a_network_that_did_not_see_it(planned, tmp_path, capsys):
    found = folds(str(planned), str(tmp_path / "out"), folds=3, jobs=2, ensemble=True, **SHORT)
    assert found["patients"] == 3 and len(found["cases"]) == 6
    assert found["interval"][0] <= found["dice"] <= found["interval"][1]
    lists = [json.loads((tmp_path / "out" / f"fold_{n}.json").read_text(encoding="utf-8")) for n in (1, 2, 3)]
    for content in lists:
        owners = [{name[:2] for name in content[role]} for role in ("labeled", "validation", "unlabeled")]
        assert len(owners[0]) == 2 and len(owners[1]) == 1 and owners[2] == {"p3"} and not owners[0] & owners[1]
    assert sorted(name for content in lists for name in content["validation"]) == sorted(found["cases"])
    text = capsys.readouterr().out
    assert "over 3 patients; with so few" in text and "lowest: " in text
    members = [tmp_path / "out" / f"fold-1-draw{n}-seed1337" for n in (1, 2, 3)]
    require_one_network(tmp_path / "out" / "ensemble", members)
    model = tmp_path / "out" / "fold-1-draw1-seed1337" / "model.pt"
    before = model.stat().st_mtime_ns
    (tmp_path / "out" / "ensemble" / "record.json").unlink()  # as a stop on the way leaves it
    again = folds(str(planned), str(tmp_path / "out"), folds=3, ensemble=True, **SHORT)
    assert again["cases"] == found["cases"] and model.stat().st_mtime_ns == before
    assert (tmp_path / "out" / "ensemble" / "record.json").is_file()


def test_pictures_of_one_domain_are_measured_by_a_method_of_several(tmp_path):
    data = Path(write_phantoms(tmp_path / "data", Phantom((40, 36)), labeled=3, unlabeled=2, validation=0, test=0))
    plan(str(data), method="synfoc_segmentation", device="cpu", memory=16.0, sam="none")
    found = folds(str(data / "plan.yaml"), str(tmp_path / "out"), folds=2, patch_size=[32, 32], **SHORT)
    assert found["patients"] == 3 and (tmp_path / "out" / "folds.json").is_file()


def test_a_training_list_gives_lists_of_what_the_plan_labels(tmp_path):
    data = Path(write_phantoms(tmp_path / "data", Phantom((16, 16, 16)), labeled=3, unlabeled=1, validation=0, test=1))
    lists = json.loads((data / "splits.json").read_text(encoding="utf-8"))
    content = {"train": [*lists["labeled"], *lists["unlabeled"]], "test": lists["test"]}
    (data / "splits.json").write_text(json.dumps(content), encoding="utf-8")
    cases = cases_of({"dataset_dir": str(data), "labeled": 3, "validation": None, "group": None})
    write_lists(tmp_path / "all.json", cases, (), "every label")
    read = load_datalist(str(data), splits=str(tmp_path / "all.json"))
    assert [case["case"] for case in read["labeled"]] == lists["labeled"]
    assert [case["case"] for case in read["unlabeled"]] == lists["unlabeled"] and not read["validation"]


def require_one_network(folder, members):
    """An ensemble is a run like any other, of the mean of its members; what is not alike is refused."""
    both = require_run(folder)
    networks = [
        load_weights(r.settings.component("network_def"), r.weights).eval() for r in (both, *map(require_run, members))
    ]
    x = torch.randn(1, 1, *both.settings["patch_size"])
    with torch.no_grad():
        wanted, *parts = (network(x).softmax(1) for network in networks)
    torch.testing.assert_close(wanted, torch.stack(parts).mean(0), rtol=0, atol=1e-5)
    spoiled = Path(shutil.copytree(members[0], folder.parent / "spoiled"))
    (spoiled / "record.json").unlink()
    text = (spoiled / "settings.json").read_text(encoding="utf-8").replace('"in_channels": 1', '"in_channels": 2')
    (spoiled / "settings.json").write_text(text, encoding="utf-8")
    first, other = str(members[0]), str(folder.parent / "other")
    for runs, options, words in [
        ((), {}, "expected folders of runs"),
        ((first, str(folder)), {}, "is an ensemble; give the runs that it was made of"),
        ((first, str(spoiled)), {}, "in_channels is 2, that of the first run 1"),
        ((first,), {"mirrors": 7}, "--mirrors"),
        ((first,), {"output_dir": first}, "holds a run already"),
        ((str(folder.parent / "no"),), {}, "no run"),
    ]:
        with pytest.raises(InputError, match=words):
            ensemble(*runs, **{"output_dir": other, **options})
    assert not Path(other).exists()


def test_patients_are_dealt_in_turn(tmp_path):
    names = ["a_1", "a_2", "b_1", "c_1", "d_1", "e_1"]
    assert deal(names, grouping("{patient}_*"), 2, tmp_path) == [["a_1", "a_2", "c_1", "e_1"], ["b_1", "d_1"]]
    assert len(deal(names, grouping("{patient}_*"), 9, tmp_path)) == 5
    with pytest.raises(InputError, match="2 labeled patients: how well .* cannot be measured; label 1 more"):
        deal(["a_1", "b_1", "b_2"], grouping("{patient}_*"), 5, tmp_path)


def test_figures_are_means_over_cases_with_an_interval_over_patients(tmp_path):
    for fold, rows in (("one", ["a_1,1,0.8", "a_1,2,0.6", "a_2,1,0.9"]), ("two", ["b_1,1,0.5"])):
        (tmp_path / fold).mkdir()
        lines = ["case,class,dice,jaccard,hd95,asd,empty", *(f"{row},0,0,0,0" for row in rows)]
        (tmp_path / fold / "metrics.csv").write_text("\n".join(lines), encoding="utf-8")
    found = out_of_fold([tmp_path / "one", tmp_path / "two"], grouping("{patient}_*"))
    assert found["dice"] == pytest.approx((0.7 + 0.9 + 0.5) / 3) and found["patients"] == 2
    assert found["classes"] == {"1": pytest.approx((0.8 + 0.9 + 0.5) / 3), "2": 0.6}
    assert calibrated([tmp_path / "one", tmp_path / "two"], grouping("{patient}_*"), found) is None  # older evaluations
    assert list(found["cases"]) == ["b_1", "a_1", "a_2"] and found["interval"] == pytest.approx([0.5, 0.8])


def test_expected_dice_is_learned_from_cases_out_of_fold(tmp_path):
    names = [f"{patient}_{frame}" for patient in "abcde" for frame in (1, 2)]
    dice = [0.9, 0.88, 0.5, 0.6, 0.7, 0.72, 0.8, 0.79, 0.6, 0.66]
    lines = ["case,class,dice,jaccard,hd95,asd,empty,confidence"]
    for name, value in zip(names, dice):  # two classes each, whose means count
        lines += [f"{name},{number},{value + d},0,0,0,0,{value + 0.1 + d}" for number, d in ((1, 0.02), (2, -0.02))]
    (tmp_path / "metrics.csv").write_text("\n".join(lines), encoding="utf-8")
    found = out_of_fold([tmp_path], grouping("{patient}_*"))
    learned = calibrated([tmp_path], grouping("{patient}_*"), found)
    assert (learned.cases, learned.units, learned.level) == (10, 5, pytest.approx(5 / 6))
    assert learned(0.8)[0] == pytest.approx(0.7)
    told = found["expected"]
    assert told["cases"] == 10 and told["held"] == 10 and list(told["of cases"]) == names
    assert "intervals of 83 % held for 10 of 10, half width 0.0 points" in as_text(found)


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("dataset_dir: data\n", {}, "does not say for which method"),
        ("layout: domain_lists\n", {"method": "synfoc_segmentation"}, "plans of several domains have no folds"),
        ("dataset_dir: data\n", {"method": "meanteacher_segmentation", "folds": 1}, "--folds 1"),
    ],
)
def test_wrong_use_is_one_line(tmp_path, text, options, words):
    (tmp_path / "plan.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        folds(str(tmp_path / "plan.yaml"), str(tmp_path / "out"), **options)
    assert not (tmp_path / "out").exists()
