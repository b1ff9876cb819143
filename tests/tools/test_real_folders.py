"""``prepare`` and ``check`` on real volumes, where they are at hand."""

import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests.tools import archives
from tools.check import check
from tools.prepare import prepare

DATA = Path(os.environ.get("SSL_SEG_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
pytestmark = [pytest.mark.data, pytest.mark.skipif(not DATA.is_dir(), reason=f"no data folder {DATA} (SSL_SEG_DATA)")]


def test_la_goes_through_h5_unchanged(tmp_path):
    names = json.loads((DATA / "la2018" / "splits.json").read_text(encoding="utf-8"))["train"][:2]
    for name in names:
        image, label = (nibabel.load(DATA / "la2018" / f / f"{name}.nii.gz").get_fdata() for f in ("images", "labels"))
        archives.h5(tmp_path / "in" / name / "mri_norm2.h5", image.astype(np.float32), label=label.astype(np.uint8))
    prepare("h5", str(tmp_path / "in"), str(tmp_path / "out"), benchmark="la2018", spacing=0.625)
    for name in names:
        for folder in ("images", "labels"):
            made, known = (
                nibabel.load(root / folder / f"{name}.nii.gz") for root in (tmp_path / "out", DATA / "la2018")
            )
            np.testing.assert_array_equal(made.get_fdata(dtype=np.float32), known.get_fdata(dtype=np.float32))
            np.testing.assert_allclose(made.header.get_zooms(), known.header.get_zooms())
    assert json.loads((tmp_path / "out" / "splits.json").read_text(encoding="utf-8"))["train"] == names


def test_the_acdc_patients_with_equal_images_are_found(tmp_path, capsys):
    for folder in ("images", "labels"):
        (tmp_path / "acdc" / folder).mkdir(parents=True)
        for path in [
            p for number in (73, 74, 75, 76, 77) for p in (DATA / "acdc" / folder).glob(f"patient0{number}_*")
        ]:
            (tmp_path / "acdc" / folder / path.name).symlink_to(path)
    check(str(tmp_path / "acdc"), group=r"(patient\d+)", output=str(tmp_path / "report"))
    pairs = json.loads((tmp_path / "report" / "check.json").read_text(encoding="utf-8"))["pairs"]
    assert {(p["first"][:10], p["second"][:10]) for p in pairs} == {("patient074", "patient076")}
    assert sum(p["identical"] for p in pairs) == 2
    assert "image identical to patient076_frame01, label different" in capsys.readouterr().out
