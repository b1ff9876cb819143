import errno
import os
import stat

import pytest

from common.errors import InputError
from common.files import atomic_path, read_json, read_table, remove_partial, require_file_place, require_place


def test_file_appears_when_the_block_ends(tmp_path):
    target = tmp_path / "deep" / "folder" / "state.txt"
    with atomic_path(target) as temporary:
        temporary.write_text("new", encoding="utf-8")
        assert not target.exists()
    assert target.read_text(encoding="utf-8") == "new"
    assert [path.name for path in target.parent.iterdir()] == ["state.txt"]


def test_earlier_file_is_replaced_whole(tmp_path):
    target = tmp_path / "state.txt"
    target.write_text("old and long", encoding="utf-8")
    with atomic_path(target) as temporary:
        temporary.write_text("new", encoding="utf-8")
        assert target.read_text(encoding="utf-8") == "old and long"
    assert target.read_text(encoding="utf-8") == "new"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_the_earlier_file_and_nothing_else(tmp_path, error):
    target = tmp_path / "state.txt"
    target.write_text("old", encoding="utf-8")
    with pytest.raises(error), atomic_path(target) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise error
    assert target.read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["state.txt"]


@pytest.mark.parametrize(
    ("name", "ending"),
    [("model.pt", ".pt"), ("image.nii.gz", ".nii.gz"), ("resume.rank1.pt", ".rank1.pt"), ("plain", "")],
)
def test_temporary_file_lies_beside_the_target_with_its_ending(tmp_path, name, ending):
    with atomic_path(tmp_path / name) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")
        assert temporary.name.endswith(ending)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o007, 0o660)])
def test_file_is_readable_for_whom_the_umask_says(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        with atomic_path(tmp_path / "model.pt") as temporary:
            temporary.write_text("x", encoding="utf-8")
            assert stat.S_IMODE(temporary.stat().st_mode) == mode
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "model.pt").stat().st_mode) == mode


def test_a_file_that_replaces_another_is_readable_for_whom_that_was(tmp_path):
    (tmp_path / "model.pt").touch(mode=0o600)
    with atomic_path(tmp_path / "model.pt") as temporary:
        temporary.write_text("x", encoding="utf-8")
    assert stat.S_IMODE((tmp_path / "model.pt").stat().st_mode) == 0o600


def test_a_link_in_the_place_is_replaced_and_what_it_leads_to_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    (tmp_path / "model.pt").symlink_to(tmp_path / "mine.txt")
    with atomic_path(tmp_path / "model.pt") as temporary:
        temporary.write_text("x", encoding="utf-8")
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "mine" and not (tmp_path / "model.pt").is_symlink()


def test_an_error_of_the_file_system_names_the_file(tmp_path):
    with pytest.raises(OSError, match=r"No space left on device: '.*model\.pt'"), atomic_path(tmp_path / "model.pt"):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="other"), atomic_path(tmp_path / "model.pt"):
        raise OSError(errno.EACCES, "Permission denied", "other")
    with pytest.raises(OSError, match="^no number$"), atomic_path(tmp_path / "model.pt"):
        raise OSError("no number")


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path):
    for name in ("model.pt", ".hidden", "sub/.partial-x.pt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "model.pt") as temporary:
        copy = temporary.with_name(f"{temporary.name}.kept")
        copy.touch()
        raise KeyboardInterrupt
    assert remove_partial(tmp_path) == [copy]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "model.pt", "sub"]
    assert (tmp_path / "sub" / ".partial-x.pt").exists()


BROKEN = {
    "torn": (b'{"a": ', "not valid JSON"),
    "empty": (b"", "not valid JSON"),
    "deep": (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
    "deep mappings": (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, "nested too deeply"),
    "twice": (b'{"a": 1, "a": 2}', "key 'a' is there twice"),
    "another encoding": ('{"\xe9": 1}'.encode("latin-1"), "not UTF-8 text"),
    "two bytes each": ("{}".encode("utf-16"), "not UTF-8 text"),
    "a list": (b"[1]", "expected a mapping from names to values; it should tell"),
    "text": (b'"x"', "expected a mapping"),
    "null": (b"null", "expected a mapping"),
}


@pytest.mark.parametrize(("content", "said"), BROKEN.values(), ids=BROKEN)
def test_json_of_another_kind_is_one_line_with_its_file(tmp_path, content, said):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=said) as told:
        read_json(tmp_path / "a.json", "it should tell", dict)
    assert str(told.value).startswith(f"{tmp_path / 'a.json'}: ") and "\n" not in str(told.value)


def test_json_that_is_no_file_is_one_line_too(tmp_path):
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "loop.json").symlink_to("loop.json")
    for name, said in (("none.json", "no such file; why"), ("folder.json", "cannot be read"), ("loop.json", "cannot")):
        with pytest.raises(InputError, match=said):
            read_json(tmp_path / name, "why")


def test_a_table_has_numbers_where_they_are_asked_for(tmp_path):
    (tmp_path / "a.csv").write_text("case,x,y\na,1,2\nb,nan,\n", encoding="utf-8")
    first, second = read_table(tmp_path / "a.csv", "why", ("x",), rest=False)
    assert first == {"case": "a", "x": 1.0, "y": "2"} and second["x"] != second["x"]
    (tmp_path / "b.csv").write_text("x,y\n1,2\n3,\n", encoding="utf-8")
    assert read_table(tmp_path / "b.csv", "why", ("x",), rest=True) == [{"x": 1.0, "y": 2.0}, {"x": 3.0, "y": ""}]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a,b\n1,2\n", "no column x; why"),
        (b"x,y\n1,2\nmany,2\n", "row 2: x 'many' is no number; why"),
        (b"x,y\n", ""),
        (b"y,x\n1\n", "row 1: fewer values than columns"),
        (b"y,x\n1,\n", "row 1: x '' is no number"),
        (b"x\n1,2\n", "row 1: more values than columns"),
        (bytes(range(256)), "not UTF-8 text"),
        (b"x\n" + b'"' + b"1" * 200_000, "not a table|is no number"),
    ],
)
def test_a_table_that_is_torn_is_one_line(tmp_path, content, said):
    (tmp_path / "a.csv").write_bytes(content)
    if not said:
        assert read_table(tmp_path / "a.csv", "why", ("x",)) == []
        return
    with pytest.raises(InputError, match=said):
        read_table(tmp_path / "a.csv", "why", ("x",))


@pytest.mark.parametrize("kind", ["file", "below a file", "loop", "folder of the name"])
def test_a_place_where_no_file_can_be_made_is_told(tmp_path, kind):
    place = {"file": tmp_path / "f", "below a file": tmp_path / "f" / "a"}.get(kind, tmp_path / "o")
    (tmp_path / "f").touch()
    if kind == "loop":
        place.symlink_to(place.name)
    if kind == "folder of the name":
        (place / "a.json").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="^--output: "):
        require_place(place, "--output", keep=False, files=["a.json"])
    with pytest.raises(InputError, match="^--output: "):
        require_file_place(place / "a.json", "--output")
    assert sorted(tmp_path.rglob("*")) == before
