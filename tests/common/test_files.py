import errno
import os
import stat

import pytest

from common.files import atomic_path, remove_partial


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
