"""Each multi-domain 2D set from a small tree in its distributed form: encodings, names and lists."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from common.datasets import load_datalist, load_domains
from common.errors import InputError
from tests.tools import archives
from tools.prepare import prepare
from tools.volumes import array, read


def pixels(path):
    return np.asarray(Image.open(path)).swapaxes(0, 1)


def tree(root, domains, inner, values, color=False, mask_color=False):
    """``<domain>/{train,test}/[inner/]{image,mask}/<name>.png``; returns the stored images and masks by path.

    Both splits count from 00, as ProstateSlice does.
    """
    stored = {}
    for d, domain in enumerate(domains):
        for split, names in (("train", ("00_01", "00_02", "01_01")), ("test", ("00_01",))):
            for n, name in enumerate(names):
                folder = root / domain / split / inner
                image = archives.picture(
                    folder / "image" / f"{name}.png", 10 * d + n + 5 * (split == "test"), color=color
                )
                choice = np.random.default_rng(n).integers(0, len(values), image.shape[:2])
                mask = np.array(values, np.uint8)[choice]
                archives.picture(folder / "mask" / f"{name}.png", 0, values=mask)
                stored[domain, split, name] = image, choice
    return stored


CASES = [
    ("prostate", ("BIDMC", "RUNMC"), "", [255, 0], False),
    ("fundus", ("Domain1", "Domain2"), "ROIs", [[255] * 3, [0] * 3, [128] * 3], True),
    ("mnms", ("vendorA", "vendorB"), "", [[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], False),
]


@pytest.mark.parametrize(("name", "domains", "inner", "values", "color"), CASES, ids=[case[0] for case in CASES])
def test_masks_become_class_numbers(tmp_path, name, domains, inner, values, color):
    stored = tree(tmp_path / "in" / "unpacked", domains, inner, values, color)
    prepare(name, str(tmp_path / "in"), str(tmp_path / "out"))
    splits = json.loads((tmp_path / "out" / "splits.json").read_text(encoding="utf-8"))
    assert splits["train"] == [f"{d}_train_{n}" for d in domains for n in ("00_01", "00_02", "01_01")]
    assert splits["test"] == [f"{d}_test_00_01" for d in domains]
    for case, (image, classes) in stored.items():
        np.testing.assert_array_equal(pixels(tmp_path / "out" / "images" / f"{'_'.join(case)}.png"), image)
        np.testing.assert_array_equal(pixels(tmp_path / "out" / "labels" / f"{'_'.join(case)}.png"), classes)
    roles = load_domains(tmp_path / "out", "manifest", labeled_domain=domains[0], labeled=1)
    assert {case["domain"] for case in roles["labeled"]} == {domains[0]}
    if name == "prostate":  # slices of one patient go together
        assert len(roles["labeled"]) == 2


def test_busi_unites_the_masks_of_an_image(tmp_path, capsys):
    archives.picture(tmp_path / "in" / "normal" / "normal (1).png", 0)
    for domain, count in (("benign", 6), ("malignant", 5)):
        for n in range(1, count + 1):
            stem = tmp_path / "in" / domain / f"{domain} ({n})"
            archives.picture(f"{stem}.png", n, color=True)
            for k, extra in enumerate(("_mask", "_mask_1") if n == 2 else ("_mask",)):
                mask = np.zeros((20, 16), np.uint8)
                mask[4 * k : 4 * k + 4, 2:9] = 255
                archives.picture(f"{stem}{extra}.png", 0, values=mask)
    prepare("busi", str(tmp_path / "in"), str(tmp_path / "out"))
    assert "not taken: 1 files of the folder normal" in capsys.readouterr().out
    label = pixels(tmp_path / "out" / "labels" / "benign_2.png")
    assert set(np.unique(label)) == {0, 1} and label[:8, 2:9].all() and label.sum() == 8 * 7
    cases = load_datalist(tmp_path / "out", labeled=2)
    assert [len(cases[role]) for role in ("labeled", "unlabeled", "test")] == [2, 7, 2]
    assert cases["test"][0]["case"] == "benign_6" and pixels(cases["test"][0]["image"]).ndim == 2


def test_mscmr_renumbers_its_classes(tmp_path):
    image, label = archives.volume(0, (16, 16, 4))
    stored = label.astype(np.int16) * np.random.default_rng(0).choice([200, 500, 600], label.shape)
    for domain in ("C0", "LGE"):
        for split, patient in (("train", "p1"), ("test", "p2")):
            folder = tmp_path / "in" / domain / split
            archives.write(image.astype(np.float32), folder / f"{patient}.nii.gz", spacing=(1.2, 1.2, 8.0))
            archives.write(stored, folder / f"{patient}_manual.nii.gz", spacing=(1.2, 1.2, 8.0))
    prepare("mscmr", str(tmp_path / "in"), str(tmp_path / "out"))
    cases = load_datalist(tmp_path / "out", labeled=1)
    found = read(cases["labeled"][0]["label"])
    assert found.GetSpacing() == pytest.approx((1.2, 1.2, 8.0))
    np.testing.assert_array_equal(array(found), np.select([stored == v for v in (200, 500, 600)], [1, 2, 3]))


def test_a_wrong_tree_and_a_wrong_mask_are_named(tmp_path, capsys):
    (tmp_path / "in" / "BIDMC" / "train" / "image").mkdir(parents=True)
    with pytest.raises(InputError, match="expected ProstateSlice/<site>"):
        prepare("prostate", str(tmp_path / "in"), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    tree(tmp_path / "in", ("BIDMC",), "", [255, 0])
    archives.picture(tmp_path / "in/BIDMC/train/mask/00_01.png", 0, values=np.full((20, 16), 7, np.uint8))
    archives.picture(tmp_path / "in/BIDMC/train/mask/00_02.png", 0, values=np.zeros((8, 16), np.uint8))
    (tmp_path / "in/BIDMC/train/mask/01_01.png").unlink()
    (tmp_path / "in/BIDMC/test/image/00_01.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="4 of 4 cases failed"):
        prepare("prostate", str(tmp_path / "in"), str(tmp_path / "out"))
    text = capsys.readouterr().out
    assert "unknown mask values [7.0]" in text or "unknown mask values [7]" in text
    assert "mask of size (8, 16) for an image of size (20, 16)" in text
    assert "01_01.png: no such file; it belongs to BIDMC_train_01_01" in text
    assert "00_01.png: cannot be read" in text
    with open(tmp_path / "out" / "manifest.csv", encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == []
