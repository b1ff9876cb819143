"""Files of options that somebody else wrote."""

import pytest

from common.errors import InputError
from common.options.layers import read_layer


def written(folder, content):
    file = folder / "mine.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return file


def test_entries_and_the_words_they_are_written_in(tmp_path):
    layer = read_layer(written(tmp_path, "seed: 3\ndataset_dir: 2024_01\nname: 'x'\nlist: [1, 2]\nsam#kind: no\n"))
    assert layer.content == {"seed": 3, "dataset_dir": 202401, "name": "x", "list": [1, 2], "sam#kind": False}
    assert layer.words == {"seed": "3", "dataset_dir": "2024_01", "sam#kind": "no"}
    assert layer.file == str(tmp_path / "mine.yaml")


@pytest.mark.parametrize("content", ["", "\n\n", "# nothing yet\n", "\ufeff", "---\n"])
def test_an_empty_file_has_no_entries(tmp_path, content):
    assert read_layer(written(tmp_path, content)).content == {}


def test_a_byte_order_mark_and_json_are_read(tmp_path):
    assert read_layer(written(tmp_path, '\ufeff{"seed": 3}')).content == {"seed": 3}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- seed\n- 3\n", "expected options as 'name: value', found a list"),
        ("seed\n", "expected options as 'name: value', found text"),
        ("3.5\n", "expected options as 'name: value', found text"),
        ("seed: 1\niterations: 2\nseed: 3\n", ", line 3: seed is there twice (line 1)"),
        ("sam:\n  kind: a\n  kind: b\n", ", line 3: kind is there twice (line 2)"),
        ("sam#kind: a\nsam::kind: b\n", ", line 2: sam::kind is there twice (line 1)"),
        ("seed: [1, 2\n", ", line 2: not valid YAML ("),
        ("seed: 1\n\titerations: 2\n", ", line 2: not valid YAML ("),
        ("seed: @x\n", ", line 1: not valid YAML ("),
        ("seed: *nothing\n", ", line 1: not valid YAML ("),
        ("a: 1\n---\nb: 2\n", ", line 2: not valid YAML ("),
        (
            "seed: !!python/object/apply:os.system ['true']\n",
            ", line 1: not valid YAML (only plain values are allowed)",
        ),
        ("seed: !!python/name:os.system\n", ", line 1: not valid YAML (only plain values are allowed)"),
        ("seed: !mine 3\n", ", line 1: not valid YAML ("),
        ("date: 2024-13-45\n", ": not valid YAML ("),
        ("5: 3\n", ": 5: the name of an option must be text"),
        ("? [a, b]\n: 3\n", ": not valid YAML ("),
        ("a: &x [*x]\n", ", line 1: an alias stands inside what it repeats"),
        ("a: " + "[" * 40 + "]" * 40 + "\n", ", line 1: nested too deeply"),
        ("a: " + "[" * 3000 + "]" * 3000 + "\n", "nested too deeply"),
        (b"seed: \xff\xfe\n", ": not valid YAML (not UTF-8 text)"),
        ("seed: 3\n".encode("utf-16"), ": not valid YAML (not UTF-8 text)"),
        ("seed: \0\n", ": not valid YAML ("),
        ("# " + "x" * 2**20, ": too large for a file of options (more than 1 MB)"),
    ],
    ids=lambda value: None if isinstance(value, bytes) or len(value) > 60 else value,
)
def test_what_is_no_file_of_options_is_one_line(tmp_path, content, message):
    file = written(tmp_path, content)
    with pytest.raises(InputError) as caught:
        read_layer(file)
    text = " ".join(str(caught.value).split())
    assert text.startswith(str(file)) and message in text and len(text) < len(str(file)) + 300


def test_aliases_cannot_blow_up(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(InputError, match=r"mine.yaml, line \d+: more than 50000 values \(aliases count"):
        read_layer(written(tmp_path, "\n".join(lines)))


def test_a_missing_file_and_a_folder_are_one_line(tmp_path):
    with pytest.raises(InputError, match="nothing.yaml: no such file; it is given as a layer"):
        read_layer(tmp_path / "nothing.yaml")
    with pytest.raises(InputError, match="no such file; it is given as a layer"):
        read_layer(tmp_path)


def test_json_is_json(tmp_path):
    file = tmp_path / "train.json"
    file.write_text('{"rate": 1e-05, "path": "a\\/b"}', encoding="utf-8")
    assert read_layer(file).content == {"rate": 1e-05, "path": "a/b"}
    for text, message in (
        ("[1]", "expected options as a mapping"),
        ("{", "not valid JSON"),
        ("[" * 10**5, "nested too"),
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=message):
            read_layer(file)


@pytest.mark.parametrize("value", ['!!int ""', '!!float ""', "!!bool maybe", "!!timestamp x", "!!int [1]"])
def test_a_value_that_its_tag_does_not_fit_is_told(tmp_path, value):
    with pytest.raises(InputError, match=r"not valid YAML \("):
        read_layer(written(tmp_path, f"seed: {value}\n"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"seed": 1, "seed": 2}', "key 'seed' is there twice"),
        ('{"a": ' + "[" * 40 + "]" * 40 + "}", "nested too deeply"),
    ],
)
def test_json_is_judged_as_yaml_is(tmp_path, text, words):
    (tmp_path / "layer.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        read_layer(tmp_path / "layer.json")
