"""``prepare`` and ``check`` on real volumes, where they are at hand."""

import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from common.data.masks import ENCODINGS
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


def link(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source)


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def pixels(path):
    return np.asarray(Image.open(path))


def test_acdc_volumes_from_the_distributed_layout(tmp_path):
    lists = read_json(DATA / "acdc" / "splits.json")
    names = [*lists["train"][:4], *lists["val"][:2]]
    for name in names:  # the frames of the copy at hand are numbered 1 and 2
        folder = tmp_path / "in" / "training" / name[:10]
        link(DATA / "acdc" / "images" / f"{name}.nii.gz", folder / f"{name}.nii.gz")
        link(DATA / "acdc" / "labels" / f"{name}.nii.gz", folder / f"{name}_gt.nii.gz")
        (folder / "Info.cfg").write_text("ED: 1\nES: 2\n", encoding="utf-8")
    prepare("acdc", str(tmp_path / "in"), str(tmp_path / "out"))
    for name in names:
        for folder in ("images", "labels"):
            made, known = (nibabel.load(root / folder / f"{name}.nii.gz") for root in (tmp_path / "out", DATA / "acdc"))
            np.testing.assert_allclose(made.get_fdata(), known.get_fdata(), atol=1e-6 if folder == "images" else 0)
            np.testing.assert_allclose(made.affine, known.affine, atol=1e-6)
    splits = read_json(tmp_path / "out" / "splits.json")
    assert splits["train"] == lists["train"][:4] and splits["val"] == lists["val"][:2]
    phases = read_json(tmp_path / "out" / "manifest.json")["cases"]
    assert [phases[name]["images"][0]["phase"] for name in names[:2]] == ["ED", "ES"]


def test_busi_pictures_from_the_distributed_layout(tmp_path):
    expected = {}
    for domain in ("benign", "malignant"):
        for name in read_json(DATA / "busi" / "splits.json")["train"][domain][:10]:
            number = int(name.removeprefix(f"{domain}_"))
            for folder, ending in (("images", ""), ("masks", "_mask")):
                source = DATA / "busi" / domain / folder / f"{name}.png"
                link(source, tmp_path / "in" / domain / f"{domain} ({number}){ending}.png")
                expected[f"{domain}_{number}", folder] = pixels(source)
    prepare("busi", str(tmp_path / "in"), str(tmp_path / "out"))
    splits = read_json(tmp_path / "out" / "splits.json")
    assert sorted(splits["train"] + splits["test"]) == sorted({name for name, _ in expected})
    assert [sum(name.startswith("benign") for name in splits[key]) for key in ("train", "test")] == [8, 2]
    for (name, folder), values in expected.items():
        made = pixels(tmp_path / "out" / folder.replace("masks", "labels") / f"{name}.png")
        np.testing.assert_array_equal(made, values > 0 if folder == "masks" else values)


@pytest.mark.parametrize(
    ("dataset", "folder", "counts"),
    [("prostate", "ProstateSlice", [17, 18]), ("mnms", "mnms", [12, 12]), ("fundus", "Fundus", [4, 0])],
)
def test_every_sample_of_the_multi_domain_sets_arrives(tmp_path, dataset, folder, counts):
    prepare(dataset, str(DATA / "samples2d" / folder), str(tmp_path / "out"))
    splits = read_json(tmp_path / "out" / "splits.json")
    assert [len(splits.get(key, ())) for key in ("train", "test")] == counts
    classes, seen = set(ENCODINGS[dataset].values()), set()
    for case in read_json(tmp_path / "out" / "manifest.json")["cases"].values():
        image, mask = (Path(tmp_path / "out" / file) for file in case["images"][0]["files"])
        source = next(path for path in case["sources"] if "/mask/" not in path)
        stored = Image.open(DATA / "samples2d" / folder / source).convert("RGB" if dataset == "fundus" else "L")
        np.testing.assert_array_equal(pixels(image), np.asarray(stored))
        seen |= set(np.unique(pixels(mask)).tolist())
    assert seen == classes and len(list((tmp_path / "out" / "images").iterdir())) == sum(counts)


def test_lists_of_a_real_folder_are_kept(tmp_path):
    names = read_json(DATA / "acdc" / "splits.json")["train"][:4]
    for folder in ("images", "labels"):
        for name in names:
            link(DATA / "acdc" / folder / f"{name}.nii.gz", tmp_path / "in" / folder / f"{name}.nii.gz")
    lists = {"labeled": names[2:], "test": names[:2], "group": "{patient}_*"}
    (tmp_path / "in" / "splits.json").write_text(json.dumps(lists), encoding="utf-8")
    prepare("folder", str(tmp_path / "in"), str(tmp_path / "out"))
    assert lists.items() <= read_json(tmp_path / "out" / "splits.json").items()
    made, known = (nibabel.load(root / "images" / f"{names[0]}.nii.gz") for root in (tmp_path / "out", DATA / "acdc"))
    np.testing.assert_allclose(made.get_fdata(), known.get_fdata(), atol=1e-6)


def test_the_acdc_patients_with_equal_images_are_found(tmp_path, capsys):
    for folder in ("images", "labels"):
        (tmp_path / "acdc" / folder).mkdir(parents=True)
        for path in [
            p for number in (73, 74, 75, 76, 77) for p in (DATA / "acdc" / folder).glob(f"patient0{number}_*")
        ]:
            (tmp_path / "acdc" / folder / path.name).symlink_to(path)
    check(str(tmp_path / "acdc"), group="{patient}_*", output=str(tmp_path / "report"))
    pairs = json.loads((tmp_path / "report" / "check.json").read_text(encoding="utf-8"))["pairs"]
    assert {(p["first"][:10], p["second"][:10]) for p in pairs} == {("patient074", "patient076")}
    assert sum(p["identical"] for p in pairs) == 2
    assert "image identical to patient076_frame01, label different" in capsys.readouterr().out
