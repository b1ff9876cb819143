import pytest

from common.errors import InputError
from common.runs.contract import as_written, check_resumable, check_same_data, is_free

CONFIGURATION = {
    "imports": ["$import os"],
    "_meta_": {"version": "0.1.0"},
    "iterations": 100,
    "seed": 1337,
    "learning_rate": 0.01,
    "patch_size": [112, 112, 80],
    "ramp_up": "@iterations",
    "sam": {"kind": "vit_b", "checkpoint": "a.pth", "learning_rate": 0.1},
    "terms": {"er": {"enabled": True, "weight": 0.5}},
    "objective": {"_target_": "m.Objective", "tau": "@tau"},
    "augment": [{"_target_": "common.transforms.RandomRotFlip", "mode": "full_d4"}],
    "train": {"handlers": [{"_target_": "StatsHandler"}], "dataloader": {"labeled_batch": 2}},
}


def changed(**changes):
    return {**as_written(CONFIGURATION), **{name.replace("__", "#"): value for name, value in changes.items()}}


def test_settings_are_what_was_written_by_name():
    written = as_written(CONFIGURATION)
    assert written["sam#kind"] == "vit_b" and written["patch_size"] == [112, 112, 80]
    assert written["augment#0#mode"] == "full_d4" and written["ramp_up"] == "@iterations"
    assert not any(name.startswith("_meta_") for name in written)
    assert as_written({"a": (1, object)})["a"] == [1, str(object)]  # all of it can be saved


@pytest.mark.parametrize(
    "changes",
    [
        {"iterations": 300, "learning_rate": 0.05, "epoch_length": 10, "device": "cuda:0", "progress": False},
        {"sam__checkpoint": "elsewhere/a.pth", "sam__learning_rate": 0.2, "output_dir": "there"},
        {"train__handlers__0___target_": "Other", "train__trainer__max_epochs": 3, "imports": []},
        {"patch_size": (112.0, 112, 80)},
    ],
)
def test_what_is_free_may_change(changes):
    check_resumable(as_written(CONFIGURATION), changed(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 7}, "resume: seed was 1337 when this run was started and is 7 now; it cannot change within a run"),
        ({"patch_size": [96, 96, 96]}, r"patch_size was \[112, 112, 80\] .* is \[96, 96, 96\] now"),
        ({"sam__kind": "none"}, "sam#kind was 'vit_b' .* is 'none' now"),
        ({"terms__er__enabled": False}, "terms#er#enabled was True .* is False now"),
        ({"terms__er__weight": 5}, "terms#er#weight was 0.5 .* is 5 now"),
        ({"ramp_up": 40}, "ramp_up was '@iterations' .* is 40 now"),
        ({"objective__tau": 0.5}, "objective#tau was '@tau' .* is 0.5 now"),
        ({"train__dataloader__labeled_batch": 4}, "labeled_batch was 2 .* is 4 now"),
        ({"slices": True}, "slices was not set when this run was started and is True now"),
        ({"seed": True}, "seed was 1337"),
        ({"sam__kind": "x" * 58}, "is 'x{58}' now"),
        ({"sam__kind": "x" * 200}, r"is 'x{56}\.\.\. now"),
    ],
)
def test_anything_else_is_refused_by_name_with_both_values(changes, message):
    with pytest.raises(InputError, match=message) as caught:
        check_resumable(as_written(CONFIGURATION), changed(**changes))
    assert "\n" not in str(caught.value)


def test_a_setting_that_is_gone_is_refused():
    now = changed()
    del now["seed"]
    with pytest.raises(InputError, match="seed was 1337 when this run was started and is not set now"):
        check_resumable(as_written(CONFIGURATION), now)


def test_a_free_name_covers_what_is_below_it_and_not_what_begins_like_it():
    assert is_free("train#handlers#0#_target_") and is_free("learning_rate")
    assert not is_free("learning_rate_decay") and not is_free("iterations_of_something") and not is_free("train")


DATA = {"labeled": {"a": "1", "b": "2"}, "unlabeled": {"c": ("3", 30)}, "validation": {"d": None}}


@pytest.mark.parametrize(
    ("now", "message"),
    [
        (
            {"labeled": {"a": "1"}, "unlabeled": {"c": ("3", 30)}, "validation": {"d": None, "b": "2"}},
            "case 'b' was in the list labeled when this run was started and is in the list validation now",
        ),
        ({**DATA, "unlabeled": {}}, "case 'c' was in the list unlabeled .* is in no list now"),
        ({**DATA, "unlabeled": {"c": ("3", 30), "e": "5"}}, "case 'e' was in no list .* is in the list unlabeled now"),
        ({**DATA, "labeled": {"a": "9", "b": "2"}}, r"case 'a' \(labeled\) has another content"),
        ({**DATA, "unlabeled": {"c": ("3", 31)}}, r"case 'c' \(unlabeled\) has another content"),
    ],
)
def test_other_cases_or_contents_are_refused(now, message):
    with pytest.raises(InputError, match=message):
        check_same_data(DATA, now)


def test_the_same_cases_in_another_order_and_contents_that_are_not_known_pass():
    check_same_data(DATA, {"labeled": {"b": "2", "a": "1"}, "unlabeled": {"c": ["3", 30]}, "validation": {"d": "4"}})
