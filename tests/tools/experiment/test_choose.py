"""Labels that the strategies of the served app choose, one run after the other."""

import json

import pytest

from common.data import Phantom, write_phantoms
from common.errors import InputError
from tools.experiment.choose import choose
from tools.experiment.command import experiment
from tools.experiment.file import read_experiment

TEXT = """
layers: [demo]
options: {{dataset_dir: {data}, iterations: 2, epoch_length: 2, patch_size: [16, 16, 16], stride: [16, 16, 16],
          test_stride: [16, 16, 16], base_channels: 4, amp: false, device: cpu, val_interval: 100, validation: null}}
splits: splits_{{draw}}.json
labeled: [2, 3]
baseline: uncertainty
rows:
  start: {{bundle: meanteacher_segmentation, layers: [supervised], labeled: [1]}}
  uncertainty: {{bundle: meanteacher_segmentation, layers: [supervised], choose: uncertainty}}
  coverage: {{bundle: meanteacher_segmentation, layers: [supervised], choose: coverage}}
"""


def write(folder, text=TEXT):
    data = write_phantoms(folder / "data", Phantom((16, 16, 16)), labeled=5, unlabeled=0, validation=0, test=1)
    lists = json.loads((data / "splits.json").read_text(encoding="utf-8"))
    content = {"train": lists["labeled"], "test": lists["test"]}
    (folder / "splits_1.json").write_text(json.dumps(content), encoding="utf-8")
    path = folder / "loop.yaml"
    path.write_text(text.format(data=data), encoding="utf-8")
    return path, lists["labeled"]


def test_labels_are_chosen_by_the_network_of_the_run_before(tmp_path):
    path, names = write(tmp_path)
    jobs = read_experiment(path).jobs()
    followed = {job.name: job.after for job in jobs if job.after}
    assert jobs[0].name == "start-1-draw1-seed1337" and followed == {
        "uncertainty-2-draw1-seed1337": "start-1-draw1-seed1337", "coverage-2-draw1-seed1337": "start-1-draw1-seed1337",
        "uncertainty-3-draw1-seed1337": "uncertainty-2-draw1-seed1337",
        "coverage-3-draw1-seed1337": "coverage-2-draw1-seed1337",
    }  # fmt: skip
    experiment(str(path), str(tmp_path / "runs"), jobs=2)
    content = json.loads((tmp_path / "runs" / "results.json").read_text(encoding="utf-8"))
    assert [(table["labeled"], [row["name"] for row in table["rows"]]) for table in content["tables"]] == [
        (1, ["start"]), (2, ["uncertainty", "coverage"]), (3, ["uncertainty", "coverage"])]  # fmt: skip
    for by in ("uncertainty", "coverage"):
        two, three = (
            json.loads((tmp_path / "runs" / f"{by}-{n}-draw1-seed1337" / "lists.json").read_text(encoding="utf-8"))
            for n in (2, 3)
        )
        assert two["train"][0] == names[0] and three["train"][:2] == two["train"][:2]
        assert sorted(two["train"]) == sorted(three["train"]) == sorted(names)
        assert list(three["reasons"]) == three["train"][1:3] and three["reasons"][three["train"][2]].startswith(by)
    page = (tmp_path / "runs" / "results.md").read_text(encoding="utf-8")
    assert "| row | 1 | 2 | 3 |" in page and (tmp_path / "runs" / "curve.png").stat().st_size > 5000


def test_strategies_offer_what_the_app_offers(tmp_path, monkeypatch):
    told = {"a": (0.1, 0.0), "b": (0.5, 0.2), "c": (0.3, 0.2), "d": (0.2, 0.0)}
    told = {name: {"score": score, "foreground": share} for name, (score, share) in told.items()}
    monkeypatch.setattr("tools.experiment.choose._asked", lambda images, *_: {name: told[name] for name in images})
    images = dict.fromkeys("abcde", "")

    def of(by, count=2, seed=1):
        return [choice.id for choice in choose(count, images, ["e"], list("abcd"), by, "", tmp_path, seed)]

    assert of("uncertainty") == ["b", "c"]
    assert all(sorted(of("foreground", seed=seed)) == ["b", "c"] for seed in range(5))
    drawn = [tuple(of("random", seed=seed)) for seed in range(8)]
    assert len(set(drawn)) > 2 and of("random") == of("random")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("choose: coverage", "choose: covering", "row 'coverage': choose: expected one of foreground"),
        ("labeled: [1]", "labeled: [4]", "row 'uncertainty': chooses labels, but no run has fewer than 2"),
    ],
)
def test_wrong_files_are_one_line(tmp_path, old, new, words):
    path, _ = write(tmp_path, TEXT.replace(old, new))
    with pytest.raises(InputError, match=words):
        read_experiment(path).jobs()
