"""Decoded cases on a disk: equal bit by bit, shared, found by content and preprocessing, made anew where unsound."""

import logging
import os

import nibabel
import numpy as np
import pytest
import torch

from common.data import CachedDataset, VolumePreprocessing, disk, unlabeled_of
from common.data import cache as module
from common.data.disk import DiskCache, describe
from common.errors import InputError
from common.transforms import RandomPatch


@pytest.fixture
def items(tmp_path, monkeypatch):
    monkeypatch.setenv(disk.PLACE, str(tmp_path / "cache"))
    made = []
    for n in range(3):
        rng, entry = np.random.default_rng(n), {"case": f"c{n}", "patient": "p"}
        for key, values in (("image", rng.normal(100, 30, (12, 10, 8))), ("label", rng.integers(0, 2, (12, 10, 8)))):
            entry[key] = str(tmp_path / f"{key}{n}.nii.gz")
            kind = np.float32 if key == "image" else np.uint8
            nibabel.save(nibabel.Nifti1Image(values.astype(kind), np.diag([1, 2, 3, 1])), entry[key])
        made.append(entry)
    return made


def chain(**options):
    return VolumePreprocessing(**{"normalize": True, "patch_size": [8, 8, 8], **options})


def entries(tmp_path):
    return sorted(path.parent for path in (tmp_path / "cache").rglob("case.json"))


def equal(one, other):
    assert one.keys() == other.keys()
    return all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in zip(one.values(), other.values())
    )


def test_cases_equal_those_in_memory_when_made_and_when_read(items, tmp_path):
    memory = CachedDataset(items, chain())
    for _ in range(2):
        kept = CachedDataset(items, chain(), device="disk")
        assert kept.present == memory.present and len(entries(tmp_path)) == 3
        for one, other in zip(memory.cases, kept.cases):
            assert set(one) == set(other)
            assert all(
                torch.equal(one[key], other[key]) and one[key].dtype == other[key].dtype for key in ("image", "label")
            )
            assert other["case"] == one["case"] and other["patient"] == "p"
    patch, generators = RandomPatch([8, 8, 8]), [torch.Generator().manual_seed(1) for _ in range(2)]
    cut = [patch(dataset[0], generator) for dataset, generator in zip((memory, kept), generators)]
    assert torch.equal(cut[0]["image"], cut[1]["image"])
    slices = [CachedDataset(items, chain(patch_size=[8, 8]), slices=True, device=device) for device in ("cpu", "disk")]
    assert len(slices[1]) == 24 and torch.equal(slices[0][5]["image"], slices[1][5]["image"])


def test_nothing_is_decoded_twice_but_for_other_preprocessing_or_contents(items, tmp_path, monkeypatch):
    CachedDataset(items, chain(), device="disk")
    known = entries(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(module.CheckedDataset, "_transform", lambda *_: pytest.fail("decoded again"))
        CachedDataset(items, chain(), device="disk")
    CachedDataset(items, chain(normalize=False), device="disk")
    assert len(entries(tmp_path)) == 6
    image = nibabel.load(items[0]["image"])
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj) + 1, image.affine), items[0]["image"])
    CachedDataset(items, chain(), device="disk")
    assert len(entries(tmp_path)) == 7 and set(known) < set(entries(tmp_path))
    os.rename(items[1]["image"], tmp_path / "moved.nii.gz")
    CachedDataset([{**items[1], "image": str(tmp_path / "moved.nii.gz")}], chain(), device="disk")
    assert len(entries(tmp_path)) == 7


@pytest.mark.parametrize("damage", ["cut", "lost", "text"])
def test_an_unsound_entry_is_made_anew(items, tmp_path, damage):
    CachedDataset(items[:1], chain(), device="disk")
    (entry,) = entries(tmp_path)
    if damage == "cut":
        os.truncate(entry / "image.npy", 200)
    elif damage == "lost":
        (entry / "label.npy").unlink()
    else:
        (entry / "case.json").write_text("{", encoding="utf-8")
    again = CachedDataset(items[:1], chain(), device="disk")
    assert torch.equal(again[0]["image"], CachedDataset(items[:1], chain())[0]["image"])
    assert not list((tmp_path / "cache").rglob(".partial-*"))


def test_a_set_that_would_fill_the_memory_goes_to_the_disk_by_itself(items, tmp_path, monkeypatch, caplog):
    size = 12 * 10 * 8 * (4 + 1)
    monkeypatch.setattr(module, "free_memory", lambda: 6.1 * size)
    assert CachedDataset(items, chain()).disk is None
    monkeypatch.setattr(module, "free_memory", lambda: 5.9 * size)
    with caplog.at_level(logging.INFO):
        dataset = CachedDataset(items, chain())
    assert dataset.disk is not None and "3 cases take about 0.0 GiB" in caplog.text and len(entries(tmp_path)) == 3
    assert unlabeled_of(dataset, [{"case": "c9", "image": items[0]["label"]}]).disk is not None


def test_labels_are_judged_for_the_classes_of_each_run(items):
    CachedDataset(items, chain(), device="disk", classes=2)
    with pytest.raises(InputError, match="outside the classes 0..0"):
        CachedDataset(items, chain(), device="disk", classes=1)


def test_a_place_that_cannot_be_written_is_one_line(items, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv(disk.PLACE, str(tmp_path / "file"))
    with pytest.raises(InputError, match="file: cannot be written .*FEW_LABEL_CACHE names another folder"):
        CachedDataset(items, chain(), device="disk")


def test_a_transform_that_was_used_finds_what_it_made_before(items, monkeypatch):
    transform = chain()
    fresh = describe(transform)
    CachedDataset(items[:1], transform, device="disk")
    assert describe(transform) == fresh
    monkeypatch.setattr(CachedDataset, "_transform", lambda *_: pytest.fail("decoded again"))
    CachedDataset(items[:1], transform, device="disk")


def test_descriptions_tell_transforms_apart_and_repeat():
    one = [
        describe(chain(**options))
        for options in ({}, {}, {"spacing": [1, 1, 2]}, {"window": [0, 5]}, {"in_channels": 1})
    ]
    assert one[0] == one[1] and len({repr(part) for part in one}) == 4 and "0x" not in repr(one)
    assert DiskCache(chain()).what == DiskCache(chain()).what


def test_processes_of_a_machine_count_and_share_what_they_decode(items, tmp_path, monkeypatch):
    size = 12 * 10 * 8 * (4 + 1)
    monkeypatch.setattr(module, "free_memory", lambda: 9 * size)
    alone = CachedDataset(items, chain(), workers=1)
    assert alone.disk is None
    begun = []
    transform = module.CheckedDataset._transform
    monkeypatch.setattr(module.CheckedDataset, "_transform", lambda self, n: begun.append(n) or transform(self, n))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    for rank in (2, 0):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        kept = CachedDataset(items, chain(), workers=1)
        assert kept.disk is not None and all(equal(one, other) for one, other in zip(alone.cases, kept.cases))
        assert begun == ([0, 2, 1] if rank else [0])  # case 0 to see how large cases are
        begun.clear()
