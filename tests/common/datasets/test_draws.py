import json
from pathlib import Path

import pytest

from common.datasets import Case, draw_lists, load_domains
from common.errors import InputError


def cases(domains, per_domain=20, patients=False, test=0):
    made = []
    for domain in domains:
        for n in range(per_domain):
            patient = f"{domain}/{n // 2}" if patients else ""
            role = "test" if n < test else "train"
            made.append(Case(f"{domain}/{n}", Path(f"{n}.png"), (), role, domain, patient))
    return made


def test_every_draw_holds_out_the_same_cases_and_orders_the_others_anew():
    one, two = (draw_lists(cases("AB"), development=0.1, report=5, draw=number) for number in (1, 2))
    assert one["val"] == two["val"] and one["test"] == two["test"]
    assert [len(one[key]) for key in ("val", "test", "train")] == [4, 10, 26]
    assert sorted(one["train"]) == sorted(two["train"]) and one["train"] != two["train"]
    assert one == draw_lists(cases("AB")[::-1], development=0.1, report=5, draw=1)
    assert not set(one["val"]) & set(one["test"]) | set(one["train"]) & {*one["val"], *one["test"]}


def test_the_first_cases_are_a_stratified_choice():
    drawn = draw_lists([*cases("A", 30), *cases("B", 10)])["train"]
    assert sum(name.startswith("A") for name in drawn[:20]) == 15


def test_patients_and_copies_stay_together():
    copies = [("A/0", "A/7"), ("A/7", "B/3"), ("A/1", "X/9")]
    for draw in range(1, 6):
        lists = draw_lists(cases("AB", patients=True), 0.2, 0.3, copies, seed=draw, draw=draw)
        for names in lists.values():
            found = {"A/0", "A/1", "A/6", "A/7", "B/2", "B/3"} & set(names)
            assert found in (set(), {"A/0", "A/1", "A/6", "A/7", "B/2", "B/3"})
        order = lists["train"]
        assert all(abs(order.index(f"B/{n}") - order.index(f"B/{n + 1}")) <= 5 for n in (8, 10) if f"B/{n}" in order)


def test_an_official_test_list_is_left_alone():
    lists = draw_lists(cases("A", test=5), report=0.2)
    assert lists["untouched"] == [f"A/{n}" for n in range(5)] and len(lists["test"]) == 3
    assert not set(lists["untouched"]) & {*lists["test"], *lists["train"]}


def test_something_is_left_to_train_on():
    with pytest.raises(InputError, match=r"domain A: development=0.5 and report=10 leave nothing"):
        draw_lists(cases("A"), development=0.5, report=10)


@pytest.fixture
def folder(tmp_path):
    for domain in ("a", "b"):
        for n in range(8):
            for kind in ("images", "masks"):
                path = tmp_path / domain / kind / f"{n}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
    names = [str(n) for n in range(8)]
    (tmp_path / "splits.json").write_text(json.dumps({"train": {"a": names, "b": names}}))
    lists = {"train": ["b/images/3", "a/images/7", "a/images/2", "b/images/0", "a/images/4"], "val": ["b/images/5"],
             "test": ["a/images/0", "b/images/1"]}  # fmt: skip
    (tmp_path / "draw_1.json").write_text(json.dumps(lists))
    return tmp_path


def test_lists_of_a_file_replace_those_of_the_layout(folder):
    roles = load_domains(folder, "domain_lists", "a", labeled=2, splits="draw_1.json")
    named = {role: [case["case"] for case in found] for role, found in roles.items()}
    assert named == {
        "labeled": ["a/images/7", "a/images/2"],
        "unlabeled": ["a/images/4", "b/images/3", "b/images/0"],
        "validation": ["b/images/5"],
        "test": ["a/images/0", "b/images/1"],
    }


def test_cases_for_choices_of_an_unseen_domain_are_no_test_cases(folder):
    roles = load_domains(folder, "domain_lists", "a", others="test", splits="draw_1.json")
    assert [case["case"] for case in roles["validation"]] == ["b/images/5"]
    assert [case["case"] for case in roles["test"]] == ["a/images/0", "b/images/3", "b/images/0", "b/images/1"]


def test_wrong_lists_name_file_and_case(folder):
    def load(content):
        (folder / "mine.json").write_text(json.dumps(content))
        load_domains(folder, "domain_lists", "a", splits="mine.json")

    with pytest.raises(InputError, match=r"draw_2.json: no such file of lists \(splits\); python -m tools draw"):
        load_domains(folder, "domain_lists", "a", splits="draw_2.json")
    with pytest.raises(InputError, match="mine.json: key 'val' names a/images/9, which is no case"):
        load({"train": ["a/images/1"], "val": ["a/images/9"]})
    with pytest.raises(InputError, match="mine.json: a/images/1 is in both 'train' and 'test'"):
        load({"train": ["a/images/1"], "test": ["a/images/1"]})
