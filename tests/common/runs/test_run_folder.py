import os

import pytest

from common.errors import InputError
from common.files import require_place
from common.runs import open_run
from common.runs.checkpoint import Generations
from common.runs.folder import begin_run, close_run

SETTINGS = {"seed": 1, "dataset_dir": "here", "iterations": 4}
DATA = {"labeled": {"a": "1"}, "unlabeled": {"b": "2"}}


@pytest.fixture(autouse=True)
def closed(tmp_path):
    yield
    close_run(tmp_path)


def save_state(folder, iteration=2, data=DATA):
    Generations(folder / "resume.pt").write(
        {
            "iteration": iteration, "processes": 1, "objective": {}, "own": {"iteration": iteration},
            "settings": SETTINGS, "data": data,
        }
    )  # fmt: skip


def earlier_run(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text("of the earlier run", encoding="utf-8")


def left(folder):
    return sorted(path.name for path in folder.iterdir())


# ---- a place to write


def test_a_folder_is_made_locked_and_freed(tmp_path):
    assert open_run(tmp_path / "a" / "b", tmp_path / "weights") == 0
    assert left(tmp_path / "a" / "b") == [".lock"] and left(tmp_path / "weights") == []
    close_run(tmp_path / "a" / "b")
    assert left(tmp_path) == []  # nothing began, so nothing stays


def test_a_folder_that_was_there_or_that_holds_something_stays(tmp_path):
    (tmp_path / "there").mkdir()
    open_run(tmp_path / "there")
    close_run(tmp_path / "there")
    open_run(tmp_path / "a" / "b")
    (tmp_path / "a" / "history.csv").touch()
    close_run(tmp_path / "a" / "b")
    assert left(tmp_path) == ["a", "there"] and left(tmp_path / "a") == ["history.csv"]


@pytest.mark.parametrize("name", ["model.pt", "settings.json", "record.json", "resume.pt", "history.csv", ".lock"])
def test_a_folder_in_the_place_of_a_file_of_the_run_is_told_before_the_first_step(tmp_path, name):
    (tmp_path / "out" / name).mkdir(parents=True)
    with pytest.raises(InputError, match="^output_dir: ") as told:
        open_run(tmp_path / "out")
    assert name in str(told.value)
    assert left(tmp_path / "out") == [name]


def test_a_place_can_be_tried_without_leaving_a_trace(tmp_path):
    (tmp_path / "there").mkdir()
    require_place(tmp_path / "there" / "a" / "b", "output_dir", keep=False)
    assert left(tmp_path / "there") == []
    require_place(tmp_path / "there", "output_dir", keep=False)
    assert left(tmp_path) == ["there"]


@pytest.mark.parametrize("option", ["output_dir", "ckpt_dir"])
def test_a_file_in_the_way_is_one_line(tmp_path, option):
    (tmp_path / "file").touch()
    folders = {"output_dir": tmp_path / "run", option: tmp_path / "file"}
    with pytest.raises(InputError, match=rf"{option}: no files can be made in .*file \(file exists\); give another"):
        open_run(**folders)


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs /proc")
def test_an_impossible_place_is_one_line():
    with pytest.raises(InputError, match=r"output_dir: no files can be made in /proc/x \("):
        require_place("/proc/x", "output_dir")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_without_permission_is_one_line(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="permission denied"):
        require_place(tmp_path, "output_dir")
    tmp_path.chmod(0o700)


def test_a_file_system_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(InputError, match=r"output_dir: no files can be made in .* \(read-only file system\)"):
        open_run(tmp_path)


# ---- what is there already


@pytest.mark.parametrize("name", ["history.csv", "model.pt", "model_best.pt", "record.json", "settings.json"])
def test_an_earlier_run_is_neither_mixed_with_nor_replaced_unasked(tmp_path, name):
    earlier_run(tmp_path, name)
    with pytest.raises(
        InputError, match=f"{tmp_path} holds a run already .{name}.; resume: true continues it, overwri"
    ):
        open_run(tmp_path)
    assert left(tmp_path) == [name]


def test_files_of_the_user_are_no_run(tmp_path):
    earlier_run(tmp_path, "notes.txt", "medsam_vit_b.pth")
    open_run(tmp_path)
    begin_run(tmp_path, fresh=True)
    assert left(tmp_path) == [".lock", "medsam_vit_b.pth", "notes.txt"]


def test_weights_elsewhere_are_not_replaced_unasked(tmp_path):
    earlier_run(tmp_path / "models", "model.pt")
    with pytest.raises(InputError, match="models holds a run already .model.pt."):
        open_run(tmp_path, tmp_path / "models")


def test_overwrite_replaces_an_earlier_run_once_training_starts(tmp_path):
    earlier_run(tmp_path, "history.csv", "model.pt", "record.json", "notes.txt")
    save_state(tmp_path)
    assert open_run(tmp_path, overwrite=True) == 0
    assert left(tmp_path) == [".lock", "history.csv", "model.pt", "notes.txt", "record.json", "resume.pt"]
    begin_run(tmp_path, fresh=True)
    assert left(tmp_path) == [".lock", "notes.txt"]


def test_a_training_of_monai_label_replaces_all_but_what_it_starts_from(tmp_path):
    earlier_run(tmp_path, "history.csv", "model.pt", "settings.json", "record.json")
    save_state(tmp_path)
    open_run(tmp_path, studies="/studies")
    begin_run(tmp_path, fresh=True)
    assert left(tmp_path) == [".lock", "model.pt", "settings.json"]


def test_unfinished_files_are_removed_from_the_folders_of_the_run_alone(tmp_path):
    for folder in (tmp_path, tmp_path / "weights", tmp_path / "validation"):
        earlier_run(folder, ".partial-model.abc.pt")
    open_run(tmp_path, tmp_path / "weights")
    assert (
        not left(tmp_path / "weights")
        and left(tmp_path / "validation")
        and ".partial-model.abc.pt" not in left(tmp_path)
    )


# ---- resume


def test_a_state_is_continued_and_the_record_of_its_end_taken_away(tmp_path):
    save_state(tmp_path, 2)
    earlier_run(tmp_path, "model.pt", "record.json")
    (tmp_path / "history.csv").write_text("iteration,loss\n2,0.5\n", encoding="utf-8")
    assert open_run(tmp_path, resume=True, settings={**SETTINGS, "iterations": 12}) == 2
    begin_run(tmp_path, fresh=False)
    assert left(tmp_path) == [".lock", "history.csv", "model.pt", "resume.pt"]


def test_other_settings_are_refused_before_anything_is_touched(tmp_path):
    save_state(tmp_path)
    with pytest.raises(InputError, match="seed was 1 when this run was started and is 2 now"):
        open_run(tmp_path, resume=True, settings={**SETTINGS, "seed": 2})
    assert left(tmp_path) == ["resume.pt"]


@pytest.mark.parametrize(
    ("saved", "given", "fine"),
    [(DATA, None, True), (DATA, DATA, True), (None, None, False), ({"labeled": {"a": None}}, None, False)],
)
def test_the_data_may_lie_elsewhere_where_their_contents_are_compared(tmp_path, saved, given, fine):
    save_state(tmp_path, data=saved)
    call = {"resume": True, "settings": {**SETTINGS, "dataset_dir": "there", "splits": "there.json"}, "data": given}
    if fine:
        assert open_run(tmp_path, **call) == 2
    else:
        with pytest.raises(InputError, match="dataset_dir was 'here' when this run was started and is 'there' now"):
            open_run(tmp_path, **call)


@pytest.mark.parametrize("text", ["iteration,loss\n2,0.5\n4", "of another program"])
def test_a_torn_history_is_refused_before_anything_is_touched(tmp_path, text):
    save_state(tmp_path)
    earlier_run(tmp_path, "model.pt", "record.json")
    (tmp_path / "history.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"history\.csv.*the run goes on in it"):
        open_run(tmp_path, resume=True, settings=SETTINGS)
    assert left(tmp_path) == ["history.csv", "model.pt", "record.json", "resume.pt"]


@pytest.mark.parametrize(("given", "name"), [({"settings": SETTINGS}, "settings"), ({"data": DATA}, "cases")])
def test_a_state_without_what_is_to_be_compared_is_refused(tmp_path, given, name):
    state = {"iteration": 2, "processes": 1, "objective": {}, "own": {"iteration": 2}, "settings": None, "data": None}
    Generations(tmp_path / "resume.pt").write(state)
    with pytest.raises(InputError, match=f"does not say what its {name} were; overwrite: true begins again"):
        open_run(tmp_path, resume=True, **given)


def test_other_data_are_refused(tmp_path):
    save_state(tmp_path)
    with pytest.raises(InputError, match="case 'b' was in the list unlabeled"):
        open_run(tmp_path, resume=True, settings=SETTINGS, data={**DATA, "unlabeled": {}})


def test_a_damaged_state_gives_way_to_the_one_before_and_none_is_one_line(tmp_path):
    save_state(tmp_path, 2)
    save_state(tmp_path, 4)
    (tmp_path / "resume.pt").write_bytes(b"")
    assert open_run(tmp_path, resume=True, settings=SETTINGS) == 2
    (tmp_path / "resume.previous.pt").write_bytes(b"PK\3\4")
    with pytest.raises(InputError, match=r"resume\.pt: is empty .*; there is no sound state to resume from"):
        open_run(tmp_path, resume=True, settings=SETTINGS)


def test_resume_without_a_state_starts_with_a_line(tmp_path, caplog):
    earlier_run(tmp_path, "history.csv")  # of a run that was killed before it had saved anything
    assert open_run(tmp_path, resume=True) == 0
    assert "has no state (resume.pt) to continue from; starting from the beginning" in caplog.text


@pytest.mark.parametrize("name", ["model.pt", "record.json"])
def test_resume_in_the_folder_of_a_run_that_has_ended_needs_its_state(tmp_path, name):
    earlier_run(tmp_path, name)
    with pytest.raises(
        InputError, match=f"has no state .* but files of a run that has ended .*{name}.*; give the folder"
    ):
        open_run(tmp_path, resume=True)
    assert open_run(tmp_path, resume=True, overwrite=True) == 0


def test_one_process_may_open_a_folder_again_after_an_error(tmp_path):
    open_run(tmp_path)
    assert open_run(tmp_path) == 0
    close_run(tmp_path)
    assert left(tmp_path) == []
