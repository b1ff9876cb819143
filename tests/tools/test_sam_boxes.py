import json
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from common.data import Phantom, write_phantom_domains, write_phantoms
from common.errors import InputError
from common.sam import BoxRefiner, build_sam, refine_volume
from common.sam.testing import write_tiny_checkpoint
from common.wheels import installed
from tests.downloads import WRITERS
from tools.draw import draw
from tools.prepare import prepare
from tools.sam_boxes import boxes_filled, sam_boxes

DATA = Path(os.environ.get("SSL_SEG_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    torch.manual_seed(0)
    path = write_tiny_checkpoint(tmp_path_factory.mktemp("sam") / "tiny.pth", 32, "tiny_t")
    return {"arch": "tiny_t", "checkpoint": str(path), "img_size": 32}


def test_boxes_are_filled():
    masks = torch.zeros(2, 5, 6, dtype=torch.bool)
    masks[0, 1, 2] = masks[0, 3, 4] = True
    assert boxes_filled(masks)[0].nonzero().tolist() == [[r, c] for r in (1, 2, 3) for c in (2, 3, 4)]
    assert not boxes_filled(masks)[1].any()


def test_figures_of_domains_are_printed_and_written(tiny, tmp_path, capsys):
    write_phantom_domains(tmp_path / "data", Phantom((32, 32), 3), 2, 3, 1, 1, 0)
    sam_boxes(str(tmp_path / "data"), num_classes=3, images=2, output=str(tmp_path / "f.json"), **tiny)
    about = json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))
    rows = {(row["domain"], row["object"]): row for row in about["dice"]}
    assert len(rows) == 4 and {name for _, name in rows} == {"1", "2"}
    for row in rows.values():
        assert 1 <= row["boxes"] <= 2 and all(0 <= row[key] <= 1 for key in ("true", "moved", "filled"))
    assert about["batch_against_single"] < 1e-4 and about["lora_rank_4"] == 2 * 4 * (2 * 16 + 4 * 24 + 2 * 32)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6 and "ms of processor time per image" in lines[-1]


def test_one_list_of_a_prepared_data_set_is_measured(tiny, tmp_path):
    prepare("prostate", str(WRITERS["prostate"](tmp_path / "in")), str(tmp_path / "out"), workers=1)
    sam_boxes(str(tmp_path / "out"), images=100, split="test", output=str(tmp_path / "f.json"), **tiny)
    (row,) = json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))["dice"]
    assert row["boxes"] == 12


def test_the_cases_of_a_draw_are_measured(tiny, tmp_path):
    write_phantom_domains(tmp_path / "data", Phantom((32, 32), 2), 2, 4, 1, 1, 0)
    draw(str(tmp_path / "data"), "domain_lists", draws=1, report=2, copies=False, output=str(tmp_path))
    given = {**tiny, "split": "test", "layout": "domain_lists", "output": str(tmp_path / "f.json")}
    sam_boxes(str(tmp_path / "data"), splits=str(tmp_path / "draw_1.json"), **given)
    rows = json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))["dice"]
    assert len(rows) == 2 and all(row["boxes"] == 2 for row in rows)
    with pytest.raises(InputError, match="needs --layout"):
        sam_boxes(str(tmp_path / "data"), splits=str(tmp_path / "draw_1.json"), **tiny)


def test_nested_groups_are_composed_on_the_middle_slices_of_volumes(tiny, tmp_path, capsys):
    label = np.zeros((32, 32, 3), np.uint8)
    label[4:28, 4:28, 1], label[8:20, 8:20, 1], label[:4, :, 0] = 1, 2, 2
    for folder, values in (("images", label.astype(np.float32)), ("labels", label)):
        (tmp_path / folder).mkdir()
        nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / folder / "heart.nii.gz")
    sam_boxes(str(tmp_path), num_classes=3, groups=[[1, 2], [2]], **tiny)
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()[1:-1]] == ["1+2", "2", "1", "2"]
    assert out.count("(composed of all groups)") == 2


def test_every_slice_of_a_volume_is_prompted_where_asked(tiny, tmp_path, capsys):
    label = np.zeros((32, 32, 3), np.uint8)
    label[4:28, 4:28, :2], label[8:20, 8:20, 2] = 1, 2
    for folder, values in (("images", label.astype(np.float32)), ("labels", label)):
        (tmp_path / folder).mkdir()
        nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / folder / "heart.nii.gz")
    sam_boxes(str(tmp_path), num_classes=3, volumes=True, output=str(tmp_path / "f.json"), **tiny)
    about = json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))
    assert [row["object"] for row in about["dice"]] == ["1"]  # the middle slice has no second class
    assert [row["class"] for row in about["volumes"]] == ["1", "2"]
    sam = build_sam(tiny["arch"], 32, checkpoint=tiny["checkpoint"]).eval()
    image, truth = (torch.from_numpy(label).to(kind) for kind in (torch.float32, torch.int64))
    found = refine_volume(BoxRefiner(sam, 3, "litemedsam", box_pad=0.0), image[None], truth)
    for row, number in zip(about["volumes"], (1, 2)):
        mask, wanted = found == number, truth == number
        assert row["true"] == pytest.approx(
            2 * (mask & wanted).sum().item() / (mask.sum() + wanted.sum()).item(), abs=1e-6
        )
    assert capsys.readouterr().out.count("(whole volumes, boxes of all slices)") == 2


def test_mistakes_are_one_line(tiny, tmp_path):
    write_phantoms(tmp_path / "data", Phantom((32, 32), 2), 1, 0, 1, 0, 0)
    with pytest.raises(InputError, match="--images 0"):
        sam_boxes(str(tmp_path / "data"), images=0, **tiny)
    for file in (tmp_path / "data" / "labels").iterdir():
        file.unlink()
    with pytest.raises(InputError, match="no labeled image"):
        sam_boxes(str(tmp_path / "data"), **tiny)


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no data folder {DATA} (SSL_SEG_DATA)")
@pytest.mark.skipif(not installed("litemedsam"), reason="no weights of LiteMedSAM")
def test_litemedsam_finds_lesions_and_ventricles_by_their_boxes(tmp_path):
    path = tmp_path / "f.json"
    sam_boxes(str(DATA / "busi"), encoding="binary", images=3, output=str(path))
    lesions = json.loads(path.read_text(encoding="utf-8"))["dice"]
    sam_boxes(str(DATA / "acdc"), num_classes=4, groups=[[1], [3]], images=3, output=str(path))
    hearts = json.loads(path.read_text(encoding="utf-8"))["dice"]
    assert [row["domain"] for row in lesions] == ["benign", "malignant"]
    assert all(row["true"] > 0.8 and row["true"] > row["moved"] for row in lesions + hearts)
