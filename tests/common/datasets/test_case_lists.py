"""Lists of cases as other programs and people write them."""

import json

import pytest

from common.datasets import load_datalist, load_domains
from common.datasets.lists import read_lists
from common.errors import InputError

LISTS = {"labeled": ["a", "b"], "unlabeled": ["c"], "validation": ["d"]}


@pytest.fixture
def dataset(tmp_path):
    """Write a data set with these bytes as its lists."""
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        for name in "abcd":
            (tmp_path / folder / f"{name}.nii.gz").touch()

    def write(content):
        if not isinstance(content, bytes):
            content = content.encode("utf-8") if isinstance(content, str) else json.dumps(content).encode("utf-8")
        (tmp_path / "splits.json").write_bytes(content)
        return tmp_path

    return write


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_is_read_though_a_list_of_mistakes_has_it(dataset, encoding):
    roles = load_datalist(dataset(json.dumps(LISTS).encode(encoding)))
    assert [case["case"] for case in roles["labeled"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps({**LISTS, "note": "é"}, ensure_ascii=False).encode("latin-1"), "not UTF-8 text"),
        (json.dumps(LISTS).encode("utf-16"), "not UTF-8 text"),
        ("[" * 100_000, "not valid JSON (nested too deeply)"),
        ('{"labeled": ' + "[" * 5000 + "]" * 5000 + "}", "not valid JSON (nested too deeply)"),
        ('{"labeled": ["a"], "validation": ["d"], "labeled": ["b"]}', "not valid JSON (key 'labeled' is there twice)"),
        ('{"labeled": ["a"], "files": {"a": {}, "a": {}}}', "not valid JSON (key 'a' is there twice)"),
        ('{"labeled": ["a",]}', "not valid JSON ("),
        ("\0", "not valid JSON ("),
        ({"labeled": ["a", "../images/b"]}, "key 'labeled': '../images/b' is no name of a case"),
        ({"labeled": ["a"], "test": ["x/../../y"]}, "key 'test': 'x/../../y' is no name of a case"),
        ({"labeled": ["/etc/hostname"]}, "key 'labeled': '/etc/hostname' is no name of a case"),
        ({"train": [""]}, "key 'train': '' is no name of a case"),
        ({"labeled": ["a\nb"]}, "key 'labeled': 'a\\nb' is no name of a case"),
        ({"labeled": ["x" * 300]}, f"key 'labeled': {'x' * 40}... is too long for the name of a file"),
        ({"labeled": ["é" * 150]}, f"key 'labeled': {'é' * 40}... is too long for the name of a file"),
    ],
    ids=lambda value: None if isinstance(value, bytes) or len(value) > 60 else str(value),
)
def test_what_is_no_list_of_cases_is_one_line(dataset, content, message):
    root = dataset(content)
    with pytest.raises(InputError) as caught:
        load_datalist(root, labeled=1)
    text = str(caught.value)
    assert text.startswith(f"{root / 'splits.json'}: {message}") and "\n" not in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"train": {"a": ["x"], "a": ["y"]}}', "not valid JSON (key 'a' is there twice)"),
        ({"train": {"a": "x"}}, "key 'train', a: expected a list of case names"),
        ({"train": {"a": [3]}}, "key 'train', a: expected a list of case names"),
        ({"train": {"a": ["../x"]}}, "key 'train', a: '../x' is no name of a case"),
        ({"train": {"../a": ["x"]}}, "key 'train': '../a' is no name of a case"),
        (["a"], "expected a list 'labeled' or 'train'"),
    ],
)
def test_lists_of_domains_are_read_alike(dataset, content, message):
    root = dataset(content)
    with pytest.raises(InputError) as caught:
        load_domains(root, "domain_lists")
    assert str(caught.value).startswith(f"{root / 'splits.json'}: {message}")


def test_names_may_lead_into_folders(dataset):
    root = dataset({"labeled": ["site/a"]})
    for folder in ("images", "labels"):
        (root / folder / "site").mkdir()
        (root / folder / "site" / "a.nii.gz").touch()
    assert load_datalist(root)["labeled"][0]["image"].endswith("images/site/a.nii.gz")


def test_files_of_a_case_may_be_one_label_or_several(tmp_path):
    content = {
        "train": ["a", "b"],
        "files": {
            "a": {"image": "i/a.png", "label": "m/a.png"},
            "b": {"image": "i/b.png", "label": ["m/1.png", "m/2.png"]},
        },
    }
    path = tmp_path / "splits.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    files = read_lists(path).files
    assert files["a"] == {"image": tmp_path / "i/a.png", "label": [tmp_path / "m/a.png"]}
    assert files["b"]["label"] == [tmp_path / "m/1.png", tmp_path / "m/2.png"]
    for wrong in ({"image": 5}, {"image": "a", "label": 3}, {"image": "a", "label": [""]}, {"label": "a"}):
        path.write_text(json.dumps({**content, "files": {"a": wrong}}), encoding="utf-8")
        with pytest.raises(InputError, match="key 'files' must map each case to its image and label"):
            read_lists(path)
