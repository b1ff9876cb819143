"""Where a verb cannot write is told before it begins, and nothing is left there."""

import pytest

import tools.__main__ as entry
from common.data import Phantom, write_phantoms
from common.errors import InputError

WRITERS = {
    "check": (["check", "data", "--output", "out"], "check.json"),
    "plan": (["plan", "data", "--output", "out"], "plan.yaml"),
    "score": (["score", "data/labels", "data/labels", "--output", "out"], "scores.json"),
    "draw": (["draw", "data", "--output", "out", "--draws", "2"], "draw_2.json"),
    "prepare": (["prepare", "folder", "--source", "data", "--output", "out"], "manifest.json"),
    "fit": (["fit", "data", "--output_dir", "out"], "fit.json"),
    "package": (["package", "none", "--output", "out"], "model_info.json"),
    "export": (["export", "none", "--output", "out/a.onnx"], "a.onnx"),
    "sam_boxes": (["sam_boxes", "data", "--output", "out/a.json"], "a.json"),
    "pretrain_sam": (["pretrain_sam", "--output", "out/a.pth"], "a.json"),
    "benchmark": (["benchmark", "--output", "out/a.json"], "a.json"),
    "folds": (["folds", "plan.yaml", "out", "--method", "meanteacher_segmentation"], "fold_2.json"),
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_phantoms("data", Phantom((16, 16, 16)), labeled=3, unlabeled=1, validation=1, test=1)
    (tmp_path / "plan.yaml").write_text("dataset_dir: data\niterations: 100\n", encoding="utf-8")
    return tmp_path


def left(folder):
    return sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("verb", WRITERS)
@pytest.mark.parametrize("kind", ["file", "folder of the name"])
def test_a_place_that_cannot_be_written_is_told_first(here, verb, kind):
    words, name = WRITERS[verb]
    if kind == "file":
        (here / "out").touch()
    else:
        (here / "out" / name).mkdir(parents=True)
    before = left(here)
    with pytest.raises(InputError, match="no files can be made in|is a folder, and a file|is the folder that"):
        entry.main(words)
    assert left(here) == before


@pytest.mark.parametrize("option", ["iterations=x", "nothing=5", "resume=true", "labeled=2", "splits=a.json"])
def test_folds_of_options_that_cannot_be_leave_no_lists(here, option):
    with pytest.raises(InputError, match=f"--{option.partition('=')[0]}"):
        entry.main(["folds", "plan.yaml", "out", "--method", "meanteacher_segmentation", f"--{option}"])
    assert not (here / "out").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no dataset_dir; expected a plan"),
        ("seed: 3", "no dataset_dir; expected a plan"),
        ("dataset_dir: 5", "dataset_dir 5: no such folder"),
        ("dataset_dir: data\nlabeled: two", "labeled two: expected an integer"),
        ("dataset_dir: data\nseed: x", "seed x: expected an integer"),
        ("dataset_dir: data\nsplits: [a]", "splits"),
        ("dataset_dir: [data]", "dataset_dir"),
        ("- data", "expected options as 'name: value'"),
    ],
)
def test_folds_of_what_is_no_plan_are_refused(here, text, said):
    (here / "plan.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        entry.main(["folds", "plan.yaml", "out", "--method", "meanteacher_segmentation"])
    assert not (here / "out").exists()


WRONG = {
    "check": ["--workers=0", "--workers=-1", "--first=-1", "--by=size", "--classes=1"],
    "plan": ["--iterations=0", "--labeled=-1", "--seed=-1", "--memory=0", "--domain=site_0"],
    "draw": ["--draws=0", "--development=-1"],
    "phantom": ["--size=8", "--size=[0,8,8]", "--classes=1", "--difficulty=2", "--labeled=0", "--seed=-1"],
    "pretrain_sam": ["--steps=0", "--seed=-1", "--learning_rate=0"],
    "sam_boxes": ["--num_classes=1", "--images=0", "--moved=-1"],
    "benchmark": ["--threads=0", "--rounds=0"],
    "nnunet": ["--processes=0", "--python=nothing"],
    "score": ["--classes=0", "--worst=0", "--tolerance=-1", "--images=data/labels/none"],
    "fit": ["--fold_count=1", "--method=none", "--device=tpu", "--license=none.txt"],
    "serve": ["--port=0", "--port=70000", "--limit=0", "--classes=a: b", "--host=no where", "--origins=viewer"],
    "experiment": ["--jobs=0", "--hours=-1"],
    "report": ["--dataset_dir=none"],
}
GIVEN = {
    "check": ["data"],
    "plan": ["data"],
    "draw": ["data"],
    "phantom": ["new"],
    "sam_boxes": ["data"],
    "nnunet": ["data", "out"],
    "score": ["data/labels", "data/labels"],
    "fit": ["data"],
    "serve": ["data/splits.zip", "--studies", "data/images"],
    "experiment": ["e.yaml", "out"],
    "report": ["{a: data}"],
}


@pytest.mark.parametrize(("verb", "word"), [(verb, word) for verb, words in WRONG.items() for word in words])
def test_a_number_or_name_that_cannot_be_is_told_before_anything_is_written(here, verb, word):
    (here / "data" / "splits.zip").touch()
    rows = "labeled: 2\nrows: {a: {bundle: meanteacher_segmentation}}\n"
    (here / "e.yaml").write_text(rows, encoding="utf-8")
    (here / "data" / "validation").mkdir()
    figures = "{" + ", ".join(f'"{name}": 1' for name in ("dice", "jaccard", "hd95", "asd")) + "}"
    summary = here / "data" / "validation" / "summary.json"
    summary.write_text(f'{{"mean": {figures}, "std": {figures}}}', encoding="utf-8")
    before = left(here)
    with pytest.raises(InputError) as told:
        entry.main([verb, *GIVEN.get(verb, []), word])
    assert "\n" not in str(told.value)
    assert left(here) == before and not (here / "new").exists()
