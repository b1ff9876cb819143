import stat

import pytest

from common.files import atomic_path


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


def test_file_is_readable_by_others(tmp_path):
    with atomic_path(tmp_path / "model.pt") as temporary:
        temporary.write_text("x", encoding="utf-8")
    assert stat.S_IMODE((tmp_path / "model.pt").stat().st_mode) == 0o644
