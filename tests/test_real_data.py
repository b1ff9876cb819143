"""Facts of the real volumes, where they are at hand."""

import os
from itertools import product
from math import ceil
from pathlib import Path

import pytest
import torch
from monai.transforms import Compose, EnsureTyped, LoadImaged

from common.data import CachedDataset
from common.datasets import load_datalist
from common.inferers import SlidingWindowInferer

DATA = Path(os.environ.get("SSL_SEG_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
pytestmark = [pytest.mark.data, pytest.mark.skipif(not DATA.is_dir(), reason=f"no data folder {DATA} (SSL_SEG_DATA)")]

LOAD = Compose(
    [LoadImaged(["image", "label"], ensure_channel_first=True, allow_missing_keys=True), EnsureTyped("image")]
)


def test_la_list_gives_the_published_labeled_cases():
    lists = load_datalist(DATA / "la2018", labeled=4, validation=16)
    assert [case["case"] for case in lists["labeled"]][:2] == ["06SR5RBREL16DQ6M8LWS", "0RZDK210BSMWAA6467LU"]
    assert [len(lists[role]) for role in ("labeled", "unlabeled", "validation")] == [4, 60, 16]
    assert all("label" not in case for case in lists["unlabeled"])


def test_la_windows_are_the_published_ones():
    case = CachedDataset(load_datalist(DATA / "la2018", labeled=1)["labeled"], LOAD)[0]
    patch, stride = (112, 112, 80), (18, 18, 4)
    image = case["image"][None]
    visits = torch.zeros(image.shape)
    seen = []

    def network(windows):
        seen.append(len(windows))
        return windows

    mean = SlidingWindowInferer(patch, stride, sw_batch_size=8, amp=False, softmax=False)(image, network)
    torch.testing.assert_close(mean, image, rtol=0, atol=1e-5)
    starts = [
        sorted({min(i * s, n - p) for i in range(ceil((n - p) / s) + 1)})
        for n, p, s in zip(image.shape[2:], patch, stride)
    ]
    for x, y, z in product(*starts):
        visits[..., x : x + 112, y : y + 112, z : z + 80] += 1
    assert sum(seen) == len(list(product(*starts))) and visits.min() >= 1


@pytest.mark.parametrize(("patients", "volumes", "slices"), [(3, 6, 68), (7, 14, 136)])
def test_acdc_counts_are_those_of_the_benchmark(patients, volumes, slices):
    lists = load_datalist(DATA / "acdc", labeled=patients, group="{patient}_*")
    assert len(lists["labeled"]) == volumes and len(lists["validation"]) == 20
    assert len(CachedDataset(lists["labeled"], LOAD, classes=4, slices=True)) == slices
