"""What an experiment file becomes, and what is wrong with one."""

import pytest

from common.errors import InputError
from common.wheels import installed
from tools.experiment.file import check_jobs, read_experiment
from tools.run import REPOSITORY

TAKE_SAM = {"iere_segmentation", "synfoc_segmentation"}

GOOD = """
layers: [demo]
options: {iterations: 4, epoch_length: 2}
splits: draw_{draw}.json
labeled: [2]
draws: [1, 2]
seeds: [5]
baseline: supervised
rows:
  supervised: {bundle: meanteacher_segmentation, layers: [supervised]}
  teacher: {title: Mean Teacher, bundle: meanteacher_segmentation, options: {ema_decay: 0.9}}
  all: {bundle: meanteacher_segmentation, layers: [supervised], labeled: [4]}
"""


def write(folder, text=GOOD):
    for draw in (1, 2):
        (folder / f"draw_{draw}.json").write_text('{"train": ["a", "b", "c", "d"]}', encoding="utf-8")
    path = folder / "some.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_runs_follow_draw_by_draw_with_their_layers_and_options(tmp_path):
    jobs = read_experiment(write(tmp_path)).jobs({"dataset_dir": str(tmp_path)})
    assert [job.name for job in jobs] == [
        "supervised-2-draw1-seed5", "teacher-2-draw1-seed5", "all-4-draw1-seed5",
        "supervised-2-draw2-seed5", "teacher-2-draw2-seed5", "all-4-draw2-seed5",
    ]  # fmt: skip
    assert jobs[0].layers == ("demo", "supervised") and jobs[4].layers == ("demo",)
    assert jobs[4].options == {
        "iterations": 4, "epoch_length": 2, "labeled": 2, "seed": 5, "ema_decay": 0.9, "dataset_dir": str(tmp_path),
        "splits": str(tmp_path / "draw_2.json"),
    }  # fmt: skip
    check_jobs(jobs)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("rows:", "row:", "unknown key 'row'; there are .*did you mean 'rows'"),
        ("labeled: [2]", "labeled: [0]", "key 'labeled' must be a list of whole numbers from 1"),
        ("draws: [1, 2]", "draws: [1, true]", "key 'draws'"),
        ("draws: [1, 2]", "draws: [1, 3]", "draw_3.json: no such file of lists"),
        ("draw_{draw}", "draw_1", "key 'splits' must hold {draw}"),
        ("draw_{draw}", "draw_{number}", "key 'splits': .*: expected no gap but {draw}"),
        ("draw_{draw}", "draw_{draw", "key 'splits': .*: expected no gap but {draw}"),
        ("rows:", "rows:\n  made: {predictions: 'p/{row}'}", "row 'made': predictions: .*: expected no gap but {run}"),
        ("baseline: supervised", "baseline: supervise", "supervise is none of the rows"),
        ("bundle: meanteacher_segmentation, options", "bundle: meanteacher, options", "meanteacher: no such bundle"),
        (
            "title: Mean Teacher, bundle: meanteacher_segmentation, ",
            "",
            "row 'teacher': expected a bundle, another row",
        ),
        (
            "bundle: meanteacher_segmentation, options",
            "of: supervised, options",
            "row 'teacher': of: expected the name",
        ),
        ("rows:", "rows:\n  twice: {of: lost}", "row 'twice': of: expected the name of a row with a bundle"),
        ("  teacher:", "  Teacher 1:", "row 'Teacher 1': its name must be of small letters"),
        ("seeds: [5]", "evaluate: [training]", "key 'evaluate': training is none of test, validation"),
    ],
)
def test_mistakes_name_file_and_key(tmp_path, old, new, words):
    with pytest.raises(InputError, match=words):
        read_experiment(write(tmp_path, GOOD.replace(old, new)))


def test_wrong_options_are_known_before_anything_runs(tmp_path):
    path = write(tmp_path, GOOD.replace("ema_decay: 0.9", "ema_decay: 9"))
    with pytest.raises(InputError, match="ema_decay"):
        check_jobs(read_experiment(path).jobs({"dataset_dir": str(tmp_path)}))


@pytest.mark.parametrize("how", ["{statistic: all}", "{statistics: some}"])
def test_wrong_options_of_an_evaluation_are_known_before_too(tmp_path, how):
    path = write(tmp_path, GOOD.replace("rows:", f"rows:\n  adapted: {{of: supervised, evaluate: {how}}}"))
    with pytest.raises(InputError, match="statistics"):
        check_jobs(read_experiment(path).jobs({"dataset_dir": str(tmp_path)}))


@pytest.mark.parametrize("option", ["output_dir: x", "resume: true", "overwrite: true", "ckpt_dir: x"])
def test_what_every_run_has_of_its_own_is_no_option(tmp_path, option):
    path = write(tmp_path, GOOD.replace("options: {iter", f"options: {{{option}, iter"))
    with pytest.raises(InputError, match=f"{option.partition(':')[0]}: every run has its own"):
        check_jobs(read_experiment(path).jobs({"dataset_dir": str(tmp_path)}))


@pytest.mark.parametrize("path", sorted((REPOSITORY / "docs" / "experiments").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_experiments_that_are_shown_can_be_run(path, tmp_path):
    experiment, given = read_experiment(path), {"dataset_dir": str(tmp_path)}
    if {row.bundle for row in experiment.rows} & TAKE_SAM and not installed("litemedsam"):
        (tmp_path / "sam.pth").touch()
        given["sam#checkpoint"] = str(tmp_path / "sam.pth")
    check_jobs(experiment.jobs(given))


@pytest.mark.parametrize(
    "row",
    ["{of: supervised, evaluate: {checkpoint: model.pt}}", "{bundle: bcp_segmentation, evaluate: {checkpoint: x}}",
     "{bundle: bcp_segmentation, evaluate: {checkpoint: model_best.pt}}"],
)  # fmt: skip
def test_only_the_best_checkpoint_of_another_row_is_chosen(tmp_path, row):
    with pytest.raises(
        InputError, match=r"row 'best': evaluate: checkpoint: expected model_best.pt or model_average.pt, in a row"
    ):
        read_experiment(write(tmp_path, f"{GOOD}  best: {row}\n"))


def test_weights_that_a_run_will_have_need_not_be_there_before(tmp_path):
    row = "{of: supervised, evaluate: {checkpoint: model_average.pt, statistics: case}}"
    experiment = read_experiment(write(tmp_path, f"{GOOD}  mean: {row}\n"))
    check_jobs(experiment.jobs({"dataset_dir": str(tmp_path)}))
