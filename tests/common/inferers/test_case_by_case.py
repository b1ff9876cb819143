"""One image that fails at any stage costs its own result alone."""

import errno

import nibabel
import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset

from common.data import ReadableCases, VolumePreprocessing, WriteSegmentation
from common.errors import InputError, is_full
from common.inferers import CaseByCaseEvaluator


class Network(torch.nn.Module):
    """Two classes by the sign; fails for a case whose first voxel is 7."""

    def forward(self, x):
        if x.flatten()[0] == 7:
            raise RuntimeError("out of\nmemory \x1b[31m")
        return torch.cat([-x, x], dim=1)


class Failing(WriteSegmentation):
    """Fails for the cases that ``of`` names."""

    of = {}

    def __call__(self, data, *more, **options):
        if data["case"] in self.of:
            raise self.of[data["case"]]
        return super().__call__(data, *more, **options)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name, first in (("good", 1.0), ("network", 7.0), ("inverse", 1.0), ("nan", np.nan), ("zlast", 1.0)):
        values = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
        values[0, 0, 0] = first
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / f"{name}.nii.gz")
    (folder / "cut.nii.gz").write_bytes((folder / "good.nii.gz").read_bytes()[:200])
    return [{"image": str(path), "case": path.name[:-7]} for path in sorted(folder.iterdir())]


def evaluator(dataset, folder, of):
    chain = Failing(dataset.transform, str(folder))
    chain.of = of
    loader = DataLoader(dataset, batch_size=1)
    return CaseByCaseEvaluator(device="cpu", val_data_loader=loader, network=Network(), postprocessing=chain)


def test_every_other_image_is_done_and_all_that_failed_are_named(images, tmp_path):
    dataset = ReadableCases(images, VolumePreprocessing())
    evaluator(dataset, tmp_path / "out", {"inverse": ValueError("singular matrix")}).run()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["good.nii.gz", "zlast.nii.gz"]
    with pytest.raises(InputError) as caught:
        dataset.require_all()
    words = str(caught.value)
    assert words.startswith("4 of 6 images could not be used: ") and words.isprintable()
    assert "cut.nii.gz: cannot be read" in words and "nan.nii.gz: the image holds NaN" in words
    assert "inverse.nii.gz: ValueError: singular matrix" in words
    assert "network.nii.gz: RuntimeError: out of memory \\x1b[31m" in words


def test_a_place_taken_by_a_folder_costs_one_result(images, tmp_path):
    (tmp_path / "out" / "good.nii.gz" / "mine").mkdir(parents=True)
    dataset = ReadableCases([case for case in images if case["case"] in ("good", "zlast")], VolumePreprocessing())
    evaluator(dataset, tmp_path / "out", {}).run()
    assert (tmp_path / "out" / "zlast.nii.gz").is_file() and (tmp_path / "out" / "good.nii.gz" / "mine").is_dir()
    with pytest.raises(InputError, match=r"1 of 2 images could not be used: .*good\.nii\.gz: "):
        dataset.require_all()
    assert len(list((tmp_path / "out").iterdir())) == 2  # no unfinished files


def test_a_full_disk_stops_the_batch(images, tmp_path):
    dataset = ReadableCases(images, VolumePreprocessing())
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(RuntimeError) as caught:
        evaluator(dataset, tmp_path / "out", {"good": full}).run()
    assert is_full(caught.value) and not (tmp_path / "out").exists()


def test_an_evaluation_stops_at_the_first_case(images, tmp_path):
    dataset = Dataset([case for case in images if case["case"] == "network"], VolumePreprocessing())
    with pytest.raises(RuntimeError, match="out of"):
        evaluator(dataset, tmp_path / "out", {}).run()


def test_a_long_list_of_failures_is_cut(tmp_path):
    dataset = ReadableCases(
        [{"image": str(tmp_path / f"{n}.nii"), "case": str(n)} for n in range(9)], lambda case: case
    )
    for n in range(9):
        dataset.report(f"{n}: {'x' * 1000}")
    with pytest.raises(
        InputError, match=r"^9 of 9 images could not be used: 0: x+; .*; and 4 more, see above$"
    ) as caught:
        dataset.require_all()
    assert len(str(caught.value)) < 2000
