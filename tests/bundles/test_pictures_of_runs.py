"""The page of pictures of a run: its panels, and what it refuses."""

import matplotlib.pyplot as plt
import pytest

from common.errors import InputError
from common.sam.testing import write_tiny_checkpoint
from tools import pictures as module
from tools.pictures import pictures

PANELS = {
    "iere_segmentation": ["image", "truth", "teacher", "SAM", "student"],
    "synfoc_segmentation": ["image", "truth", "unet teacher", "sam teacher", "unet student", "sam student"],
}


@pytest.mark.parametrize("bundle", PANELS)
def test_a_page_shows_what_teaches_and_what_learns(bundle, phantoms_2d, run_tiny, tmp_path, monkeypatch):
    write_tiny_checkpoint(tmp_path / "sam.pt", img_size=32)
    kind = {"sam#kind": "sam", "sam#arch": "tiny"} if bundle.startswith("synfoc") else {"sam#kind": "tiny"}
    sam = {**kind, "sam#img_size": 32, "sam#checkpoint": str(tmp_path / "sam.pt"), "labeled": 2, "base_channels": 4}
    run_tiny(bundle, dataset_dir=str(phantoms_2d), **sam)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    seen, page = {}, module._page
    monkeypatch.setattr(module, "_page", lambda rows, names, path: seen.update(rows=rows) or page(rows, names, path))
    path = pictures(str(tmp_path), "validation", cases=2)
    assert seen["rows"] and all(list(row) == PANELS[bundle] for row in seen["rows"])
    assert all(label.shape == image.shape for row in seen["rows"] for image, label in row.values())
    assert plt.imread(path).std() > 0
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_folder_without_a_run_and_no_cases_are_refused(tmp_path):
    with pytest.raises(InputError, match="--cases 0: expected"):
        pictures(str(tmp_path), cases=0)
    with pytest.raises(InputError, match="no run: expected"):
        pictures(str(tmp_path))
