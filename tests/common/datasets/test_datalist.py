import json
from pathlib import Path

import pytest

from common.datasets import load_datalist
from common.errors import InputError

TRAIN = ["p1_a", "p1_b", "p2_a", "p2_b", "p3_a", "p3_b"]
PATIENT = "{patient}_*"


@pytest.fixture
def dataset(tmp_path):
    """Write a data set with the given lists; every case has an image, those in ``labels`` (default all) a label."""

    def write(lists, labels=None, suffix=".nii.gz"):
        cases = [case for value in lists.values() if isinstance(value, list) for case in value if isinstance(case, str)]
        for folder, names in (("images", cases), ("labels", cases if labels is None else labels)):
            (tmp_path / folder).mkdir()
            for name in names:
                (tmp_path / folder / f"{name}{suffix}").touch()
        (tmp_path / "splits.json").write_text(json.dumps(lists), encoding="utf-8")
        return tmp_path

    return write


def names(datalist):
    return {role: [item["case"] for item in items] for role, items in datalist.items()}


# ---- the two forms


def test_role_lists_are_taken_as_they_are(dataset):
    lists = {"labeled": ["b", "a"], "unlabeled": ["d", "c"], "validation": ["e"], "test": ["f", "g"], "seed": 1}
    assert names(load_datalist(dataset(lists))) == {role: lists[role] for role in lists if role != "seed"}


def test_missing_roles_are_empty(dataset):
    assert names(load_datalist(dataset({"labeled": ["a"]}))) == {
        "labeled": ["a"], "unlabeled": [], "validation": [], "test": []
    }  # fmt: skip


def test_training_list_is_split_by_its_order(dataset):
    root = dataset({"train": ["c", "a", "d", "b"], "val": ["e"], "test": ["f"]})
    assert names(load_datalist(root, labeled=1)) == {
        "labeled": ["c"], "unlabeled": ["a", "d", "b"], "validation": ["e"], "test": ["f"]
    }  # fmt: skip


def test_count_applies_to_role_lists_too(dataset):
    root = dataset({"labeled": ["a", "b", "c"], "unlabeled": ["d"]})
    assert names(load_datalist(root, labeled=2))["unlabeled"] == ["c", "d"]


def test_all_cases_may_be_labeled(dataset):
    result = names(load_datalist(dataset({"train": ["a", "b"]}), labeled=2))
    assert (result["labeled"], result["unlabeled"]) == (["a", "b"], [])


def test_held_out_cases_are_the_last_and_take_no_part_in_training(dataset):
    root = dataset({"train": ["a", "b", "c", "d"], "val": ["z"], "test": ["e"]})
    assert names(load_datalist(root, labeled=1, validation=2)) == {
        "labeled": ["a"], "unlabeled": ["b"], "validation": ["c", "d"], "test": ["e"]
    }  # fmt: skip


def test_nothing_held_out_drops_the_validation_list(dataset):
    root = dataset({"train": ["a", "b"], "val": ["z"]})
    assert names(load_datalist(root, labeled=1, validation=0))["validation"] == []


def test_holding_out_shortens_role_lists_from_the_unlabeled_end(dataset):
    root = dataset({"labeled": ["a", "b"], "unlabeled": ["c", "d"]})
    assert names(load_datalist(root, validation=3)) == {
        "labeled": ["a"], "unlabeled": [], "validation": ["b", "c", "d"], "test": []
    }  # fmt: skip


def test_another_splits_file_may_be_named(dataset):
    root = dataset({"labeled": ["a", "b"]})
    (root / "fold1.json").write_text(json.dumps({"labeled": ["b"]}), encoding="utf-8")
    assert names(load_datalist(root, splits="fold1.json"))["labeled"] == ["b"]


# ---- files


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha", ".png"])
def test_cases_are_found_with_any_known_ending(dataset, suffix):
    root = dataset({"labeled": ["a"]}, suffix=suffix)
    (item,) = load_datalist(root)["labeled"]
    assert item == {
        "case": "a", "image": str(root / "images" / f"a{suffix}"), "label": str(root / "labels" / f"a{suffix}")
    }  # fmt: skip


@pytest.mark.parametrize("labels", [["a"], ["a", "u"]])
def test_unlabeled_cases_carry_no_label_whether_a_file_exists_or_not(dataset, labels):
    root = dataset({"labeled": ["a"], "unlabeled": ["u"]}, labels=labels)
    assert load_datalist(root)["unlabeled"] == [{"case": "u", "image": str(root / "images" / "u.nii.gz")}]


# ---- groups


def test_counts_with_a_group_pattern_are_counts_of_patients(dataset):
    result = names(load_datalist(dataset({"train": TRAIN}), labeled=1, validation=1, group=PATIENT))
    assert result["labeled"] == ["p1_a", "p1_b"]
    assert result["unlabeled"] == ["p2_a", "p2_b"]
    assert result["validation"] == ["p3_a", "p3_b"]


def test_scattered_cases_of_a_patient_stay_together_in_list_order(dataset):
    root = dataset({"train": ["p1_a", "p2_a", "p1_b", "p2_b"]})
    result = names(load_datalist(root, labeled=1, group=PATIENT))
    assert (result["labeled"], result["unlabeled"]) == (["p1_a", "p1_b"], ["p2_a", "p2_b"])


def test_a_patient_may_be_both_labeled_and_unlabeled(dataset):
    root = dataset({"labeled": ["p1_a"], "unlabeled": ["p1_b"]})
    assert names(load_datalist(root, group=PATIENT))["unlabeled"] == ["p1_b"]


@pytest.mark.parametrize(("one", "other"), [("labeled", "test"), ("unlabeled", "validation"), ("validation", "test")])
def test_a_patient_on_both_sides_of_a_split_is_an_error(dataset, one, other):
    root = dataset({"labeled": ["p9_a"], one: ["p1_a"], other: ["p1_b"]})
    with pytest.raises(InputError, match=rf"splits\.json: p1 is in both '{one}' and '{other}'"):
        load_datalist(root, group=PATIENT)


@pytest.mark.parametrize("spelled", ["a", "a.nii.gz"])
def test_a_table_of_patients_counts_where_names_tell_none(dataset, spelled):
    root = dataset({"train": ["a", "b", "c"], "patients": {spelled: "x", "c": "x"}})
    result = names(load_datalist(root, labeled=1))
    assert (result["labeled"], result["unlabeled"]) == (["a", "c"], ["b"])


def test_a_patient_of_the_table_on_both_sides_is_an_error(dataset):
    root = dataset({"labeled": ["a"], "val": ["c"], "patients": {"a": "x", "c": "x"}})
    with pytest.raises(InputError, match=r"splits\.json: x is in both 'labeled' and 'validation'"):
        load_datalist(root)


# ---- mistakes


@pytest.mark.parametrize(
    ("lists", "options", "message"),
    [
        ({"val": ["a"]}, {}, r"splits\.json: expected a list 'labeled' or 'train'"),
        ({"labeled": "a"}, {}, r"splits\.json: key 'labeled' must be a list of case names"),
        ({"labeled": ["a"], "test": [1]}, {}, r"splits\.json: key 'test' must be a list of case names"),
        ({"labeled": ["a"], "val": ["b", "c", "b"]}, {}, r"splits\.json: key 'val' names the case b twice"),
        (
            {"labeled": ["a"], "patients": ["a"]},
            {},
            r"splits\.json: key 'patients' must map names of cases to the names",
        ),
        ({"labeled": ["a"], "patients": {"a": 1}}, {}, r"splits\.json: key 'patients' must map names of cases"),
        ({"train": ["a"]}, {}, r"'train' but none 'labeled'.*labeled=N"),
        ({"labeled": []}, {}, r"splits\.json: the labeled list is empty"),
        ({"train": ["a"]}, {"labeled": 0}, r"splits\.json: the labeled list is empty"),
        ({"labeled": ["a"]}, {"validation": 1}, r"splits\.json: the labeled list is empty"),
        ({"train": ["a", "b"]}, {"labeled": 3}, r"labeled=3: expected a number between 0 and the 2 in the list"),
        ({"train": ["a", "b"]}, {"labeled": -1}, r"labeled=-1: expected a number between"),
        (
            {"train": ["a", "b"]},
            {"labeled": 1, "validation": 3},
            r"validation=3: expected a number between 0 and the 2",
        ),
        ({"train": ["a", "b", "c"]}, {"labeled": 2, "validation": 2}, r"labeled=2: expected .* 0 and the 1"),
        ({"train": TRAIN}, {"labeled": 4, "group": PATIENT}, r"labeled=4: expected .* the 3"),
        ({"train": ["x1"]}, {"labeled": 1, "group": PATIENT}, r"case x1: does not fit the template"),
        ({"labeled": ["a"], "test": ["a"]}, {}, r"splits\.json: a is in both 'labeled' and 'test'"),
        ({"train": ["a", "b"], "val": ["b"]}, {"labeled": 1}, r"b is in both 'unlabeled' and 'validation'"),
    ],
)
def test_malformed_lists_name_file_key_and_expectation(dataset, lists, options, message):
    root = dataset(lists)
    with pytest.raises(InputError, match=message):
        load_datalist(root, **options)


def test_a_case_in_both_training_lists_is_an_error(dataset):
    root = dataset({"labeled": ["a"], "unlabeled": ["a", "b"]})
    with pytest.raises(InputError, match="a is in both 'labeled' and 'unlabeled'"):
        load_datalist(root)


@pytest.mark.parametrize("pattern", [r"p\d", r"(p\d)", "{patient}*"])
def test_unusable_group_patterns_are_input_errors(dataset, pattern):
    root = dataset({"train": TRAIN})
    with pytest.raises(InputError, match="group"):
        load_datalist(root, labeled=1, group=pattern)


def test_a_list_instead_of_a_dictionary_is_an_error(dataset):
    root = dataset({"labeled": ["a"]})
    (root / "splits.json").write_text('["a"]', encoding="utf-8")
    with pytest.raises(InputError, match=r"splits\.json: expected a list 'labeled' or 'train'"):
        load_datalist(root)


def test_broken_json_is_an_error_with_its_place(dataset):
    root = dataset({"labeled": ["a"]})
    (root / "splits.json").write_text('{"labeled": [', encoding="utf-8")
    with pytest.raises(InputError, match=r"splits\.json: not valid JSON \(.*column"):
        load_datalist(root)


def test_missing_folder_and_missing_lists_are_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: no such data folder \(dataset_dir\)"):
        load_datalist(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"splits\.json: no such file"):
        load_datalist(tmp_path)


@pytest.mark.parametrize(("folder", "role"), [("images", "unlabeled"), ("labels", "labeled"), ("labels", "test")])
def test_missing_files_are_named(dataset, folder, role):
    root = dataset({"labeled": ["a"], **({} if role == "labeled" else {role: ["b"]})})
    case = "a" if role == "labeled" else "b"
    (root / folder / f"{case}.nii.gz").unlink()
    with pytest.raises(InputError, match=rf"{folder}.{case}: no file with one of the endings \.nii\.gz, "):
        load_datalist(root)


# ---- MONAI Label


def test_a_studies_folder_counts_instead_of_the_data_set(tmp_path):
    for name in ("b.nii.gz", "a.nrrd", "datastore_v2.json", "labels/final/a.nrrd"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    lists = load_datalist("nowhere", labeled=3, studies=str(tmp_path))
    assert [Path(case["image"]).name for case in lists["unlabeled"]] == ["a.nrrd", "b.nii.gz"]
    assert all(set(case) == {"image"} for case in lists["unlabeled"])
    assert lists["labeled"] == lists["validation"] == lists["test"] == []
    assert load_datalist("nowhere", studies="http://127.0.0.1:8042/dicom-web")["unlabeled"] == []


# ---- files elsewhere


def test_files_may_lie_elsewhere(dataset, tmp_path):
    root = dataset({"labeled": ["a"], "unlabeled": ["b"], "files": {"b": {"image": "raw/b.nii.gz"}}})
    with pytest.raises(InputError, match="raw/b.nii.gz: no such file; 'files' must name the image of b"):
        load_datalist(root)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "b.nii.gz").touch()
    cases = load_datalist(root)
    assert cases["unlabeled"] == [{"case": "b", "image": str(tmp_path / "raw" / "b.nii.gz")}]
    assert cases["labeled"][0]["image"] == str(tmp_path / "images" / "a.nii.gz")
    (root / "splits.json").write_text(json.dumps({"labeled": ["a"], "files": ["a"]}), encoding="utf-8")
    with pytest.raises(InputError, match="key 'files' must map each case"):
        load_datalist(root)
