"""The report on two made-up runs over a phantom data set."""

import csv
import json
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest

from common.data import Phantom, write_phantoms
from common.datasets import load_datalist
from common.errors import InputError
from common.metrics import METRICS, case_metrics, summarize
from tools.report import DARK, plt, report


def make_run(folder, cases, shift):
    """A run whose prediction is the label moved by ``shift`` voxels; returns its mean Dice."""
    rows = []
    (folder / "predictions").mkdir(parents=True)
    for case in cases:
        label = nibabel.load(case["label"])
        values = label.get_fdata().astype("uint8")
        moved = np.roll(values, shift, axis=0)
        name = case["image"].rsplit("/", 1)[-1]
        nibabel.save(nibabel.Nifti1Image(moved, label.affine), folder / "predictions" / name)
        rows += [{"case": case["case"], **row} for row in case_metrics(moved, values, 2)]
    summary = {**summarize(rows), "unit": "voxel", "empty_policy": "official", "dataset": "phantoms", "labeled": 2}
    summary |= {"checkpoint": "model.pt", "seed": 0, "iterations": 4}
    (folder / "test").mkdir()
    (folder / "test" / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    with open(folder / "history.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["iteration", "seconds_per_step", "loss"], [2, 0.5, 1.0], [4, 0.7, 0.5]])
    return summary["mean"]


def test_report_shows_the_figures_of_the_runs(tmp_path):
    data = write_phantoms(tmp_path / "data", Phantom((24, 24, 16)), labeled=1, unlabeled=1, validation=0, test=2)
    cases = load_datalist(data)["test"]
    exact, moved = (make_run(tmp_path / name, cases, shift) for name, shift in (("exact", 0), ("moved", 2)))
    lines = ["case,expected,low,high,confidence", "<worst>,0.412,0.2,0.61,0.5", "best,0.9,0.8,1.0,0.95"]
    (tmp_path / "moved" / "predictions" / "expected_dice.csv").write_text("\n".join(lines), encoding="utf-8")
    page = report({"exact": tmp_path / "exact", "moved": tmp_path / "moved"}, data, tmp_path / "out", split="test")
    table = (tmp_path / "out" / "table.md").read_text(encoding="utf-8").splitlines()
    assert table[2].startswith("| exact | 100.00 ± 0.00 | 100.00 ± 0.00 | 0.00 ± 0.00 | 0.00 ± 0.00 | 0.60 |")
    assert f"{100 * moved['dice']:.2f} ±" in table[3] and set(METRICS) <= set(exact)
    html = Path(page).read_text(encoding="utf-8")
    assert "overlays.png" in html and "curves.png" in html and f"{100 * moved['dice']:.2f}" in html
    assert "moved: where to look first" in html and "exact: where" not in html
    assert "<td>&lt;worst&gt;</td><td>41.2</td><td>20.0</td><td>61.0</td>" in html
    pictures = {"overlays.png", "curves.png", "dark_overlays.png", "dark_curves.png"}
    assert pictures | {"index.html", "table.md"} == {p.name for p in (tmp_path / "out").iterdir()}
    assert set(re.findall(r'(?:src|srcset)="([^"]+)"', html)) == pictures and f"background: {DARK}" in html
    corners = {name: plt.imread(tmp_path / "out" / name)[0, 0, :3] for name in pictures}
    for name, corner in corners.items():  # each has the color of the page that it lies on
        assert np.allclose(corner, 0x18 / 255 if name.startswith("dark_") else 1, atol=0.01), name


def test_a_run_that_was_not_evaluated_is_named(tmp_path):
    data = write_phantoms(tmp_path / "data", Phantom((24, 24, 16)), labeled=1, unlabeled=0, validation=0, test=1)
    with pytest.raises(InputError, match="summary.json: no such file; run the evaluate configuration"):
        report({"none": tmp_path / "none"}, data, tmp_path / "out", split="test")
