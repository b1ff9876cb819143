"""Batches for training."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import torch
from monai.data import CacheDataset, DataLoader
from monai.transforms import Compose, RandFlipd, RandRotate90d, RandSpatialCropd
from torch import Tensor
from torch.utils.data import Dataset

from common.data import TwoStreamLoader
from common.transforms import Batch, RandomPatch, RandomRotFlip

from . import references
from .contest import Contest, Result, times

KEYS = ("image", "label")


def patches(
    device: str, shape: Sequence[int] = (190, 140, 88), size: Sequence[int] = (112, 112, 80), batch: int = 4
) -> Contest:
    """Augmented patches: MONAI per sample, turn then crop -> crop, then turn the batch"""
    cases = [{"image": torch.randn(1, *shape, device=device)} for _ in range(batch)]
    for case in cases:
        case["label"] = (case["image"] > 1).to(torch.uint8)
    crop, turn, generator = RandomPatch(size), RandomRotFlip(), torch.Generator().manual_seed(0)
    starts = [crop.draw(shape, generator) for _ in cases]

    def cut(key: str) -> Tensor:
        return torch.stack([crop.apply(case[key], start) for case, start in zip(cases, starts)])

    chosen = turn.draw(Batch(cut("image"), cut("label")), generator)

    def slow() -> Result:
        made = [references.turn_then_crop(c, *how, start, size) for c, how, start in zip(cases, chosen, starts)]
        return [torch.stack([case[key].as_tensor() for case in made]) for key in ("image", "label")]

    def fast() -> Result:
        made = turn.apply(Batch(cut("image"), cut("label")), chosen)
        return made.image, made.label

    return Contest(f"{batch} patches {times(size)} of {times(shape)}", slow, fast, tolerance=0)


def loader(
    device: str, shape: Sequence[int] = (190, 140, 88), size: Sequence[int] = (112, 112, 80), cases: int = 6
) -> Contest:
    """A batch of 2 + 2 patches: compressed h5 files, each volume turned whole -> decoded once, cut, then turned"""
    folder = tempfile.TemporaryDirectory()
    paths = [Path(folder.name) / f"{number}.h5" for number in range(cases)]
    for path in paths:
        with h5py.File(path, "w") as file:
            image = torch.randn(*shape)
            file.create_dataset("image", data=image.numpy(), compression="gzip")
            file.create_dataset("label", data=(image > 0.9).to(torch.uint8).numpy(), compression="gzip")
    decoded = [_decode(path) for path in paths]
    turned = Compose(
        [
            RandRotate90d(KEYS, 0.75, 3, (0, 1)),
            RandFlipd(KEYS, 0.5, 0),
            RandSpatialCropd(KEYS, size, random_size=False),
        ]
    )
    stock = DataLoader(CacheDataset(decoded, turned, progress=False), batch_size=4, shuffle=True)
    half = len(decoded) // 2
    streams = TwoStreamLoader(
        _Held(decoded[:half]), _Held(decoded[half:]), 2, 2, RandomPatch(size), [RandomRotFlip()], 10**6, seed=0
    )
    batches = iter(streams)

    def published() -> Result:
        keep = folder  # the files live as long as the contest
        drawn = [
            references.published_sample(Path(keep.name) / f"{n}.h5", size) for n in np.random.permutation(cases)[:4]
        ]
        return [torch.stack([image for image, _ in drawn]).shape]

    def ours() -> Result:
        return [next(batches).image.shape]

    def monai() -> Result:
        return [next(iter(stock))["image"].shape]

    return Contest(f"{cases} volumes {times(shape)}, patch {times(size)}", published, ours, 0, monai)


class _Held(Dataset):
    """Decoded cases."""

    def __init__(self, cases: Sequence[dict]) -> None:
        self.cases = cases

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> dict:
        return self.cases[index]


def _decode(path: Path) -> dict[str, Tensor]:
    with h5py.File(path) as file:
        return {key: torch.from_numpy(file[key][()])[None] for key in KEYS}


CONTESTS = (patches, loader)
