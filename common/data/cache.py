"""Data sets that decode every case once and keep it as plain tensors."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import Dataset
from monai.utils import ensure_tuple
from torch import Tensor
from tqdm import tqdm

from ..datasets import gate
from ..errors import InputError, find_explained
from ..memory import free_memory
from .disk import SHARE, DiskCache, cache_folder
from .readers import LoadImageOrSeriesd


class CheckedDataset(Dataset):
    """MONAI's ``Dataset``, except that a case that cannot be read is an ``InputError`` naming its file."""

    def _transform(self, index: int) -> dict:
        try:
            return super()._transform(index)
        except Exception as error:
            if explained := find_explained(error):
                raise explained from error
            files = _files(self.data[index])
            raise InputError(f"{_unreadable(files)}: cannot be read ({_last_words(error)})") from error


class CachedDataset(CheckedDataset):
    """Decode all cases up front, check them, and serve plain tensors from RAM or from the device.

    Deterministic transforms run once per case at construction, in threads. What is wrong with a file is known before
    the first iteration.

    Args:
        data: one dictionary of file paths per case: ``image`` and, where labeled, ``label``; other keys are kept.
        transform: deterministic chain from paths to channel-first tensors.
        classes: number of classes; every label value must be an integer below it.
        device: where the tensors live; ``cpu`` or a CUDA device with room for the whole set; ``disk``: see
            ``DiskCache``, which ``cpu`` means too where the whole set, once for each process on this machine, would
            fill more than half of the free memory.
        slices: split volumes along their last axis into 2D samples; images that are flat stay as they are.
        workers: decoding threads.
        progress: show a progress bar, if there is a terminal.

    A line in the log names classes that no label holds, and labels without foreground.

    Raises:
        InputError: naming the file, for one that cannot be read, an image and a label of different shapes, label
            values outside the classes, or an image with NaN or infinite values.
    """

    def __init__(
        self,
        data: Sequence[Mapping],
        transform: Callable | None = None,
        classes: int = 2,
        device: str | torch.device = "cpu",
        slices: bool = False,
        workers: int = 4,
        progress: bool = False,
    ) -> None:
        super().__init__(data=list(data), transform=transform)
        self.classes, self.disk = classes, DiskCache(transform) if str(device) == "disk" else None
        self.device = torch.device("cpu" if self.disk else device)
        self.first: dict | None = None  # decoded, to see how large cases are
        self.present: dict[str, set[int]] = {}
        self.settings: dict[str, Any] = {
            "classes": classes,
            "device": device,
            "slices": slices,
            "workers": workers,
            "progress": progress,
        }
        if self.disk is None and self.device.type == "cpu" and self._is_large():
            self.disk = DiskCache(transform)
            self.settings["device"] = "disk"
        order = _order(len(self.data))
        with ThreadPoolExecutor(max_workers=max(workers, 1)) as pool:
            decoded = pool.map(self._decode, order)
            bar = tqdm(decoded, total=len(order), desc="decoding", disable=None if progress else True, leave=False)
            self.cases = [case for _, case in sorted(zip(order, bar), key=lambda pair: pair[0])]
        for line in gate.absent(self.present, classes):
            logging.getLogger(type(self).__name__).warning(line)
        if slices:
            self.cases = [part for case in self.cases for part in _split_slices(case)]

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> dict:
        return self.cases[index]

    def _is_large(self) -> bool:
        """Whether all cases, if like the first, in all processes would fill more than a share of the free memory."""
        if len(self.data) < 2 or (free := free_memory()) is None:
            return False
        self.first = self._transform(0)
        parts = filter(_is_tensor, map(_plain, self.first.values()))
        size = sum(part.numel() * part.element_size() for part in parts)
        needed = size * len(self.data) * _place()[1]
        if needed > SHARE * free:
            place, gib = cache_folder(), 2**30
            logging.getLogger(type(self).__name__).info(
                f"{len(self.data)} cases take about {needed / gib:.1f} GiB of {free / gib:.1f} free: kept in {place}"
            )
        return needed > SHARE * free

    def _decode(self, index: int) -> dict:
        item, files = self.data[index], _files(self.data[index])
        name = str(item.get("case") or files.get("label", ""))
        if self.disk is not None and (known := self.disk.read(item)) is not None:
            tensors, stored = known
            if "label" in tensors:
                gate.check_classes(stored, self.classes, files["label"])
                self.present[name] = set(stored)
            return {**item, **tensors}
        if index == 0 and self.first is not None:
            decoded, self.first = self.first, None
        else:
            decoded = self._transform(index)
        case = {key: _plain(value) for key, value in decoded.items() if not isinstance(value, Mapping)}
        present = check_case(case, files, self.classes)
        if "label" in case:
            self.present[name] = present
            case["label"] = case["label"].to(torch.uint8)
        if self.disk is not None:
            self.disk.write(item, {key: value for key, value in case.items() if _is_tensor(value)}, present)
            tensors, _ = self.disk.read(item) or ({}, None)
            return {**case, **tensors}
        return {key: value.to(self.device) if isinstance(value, Tensor) else value for key, value in case.items()}


def check_case(case: Mapping, files: Mapping[str, str], classes: int) -> set[int]:
    """Judge a case at the end of its transforms; returns the classes that its label holds.

    Raises:
        InputError: naming the file, for an image that is not finite by now, and a label that does not fit it or holds
            other classes.
    """
    image = case["image"]
    if image.numel() and not torch.isfinite(torch.stack(torch.aminmax(image))).all():
        raise InputError(f"{files['image']}: the image holds NaN or infinite values")
    if "label" not in case:
        return set()
    label = case["label"]
    if image.shape[1:] != label.shape[1:]:
        raise InputError(
            f"{files['label']}: label of shape {tuple(label.shape[1:])} for an image of shape {tuple(image.shape[1:])}"
        )
    values = _values(torch.as_tensor(label), classes)
    gate.check_classes(values, classes, files["label"])
    return {int(value) for value in values}


def _values(label: Tensor, classes: int) -> set[float]:
    """The distinct values; of few classes each is looked for, which is faster than to sort or to count."""
    if classes <= 16 and label.numel() and label.dtype is torch.uint8 and int(label.max()) < classes:
        return {float(number) for number in range(classes) if bool((label == number).any())}
    return set(torch.unique(label).tolist())


def _place() -> tuple[int, int]:
    """Number of this process among those of a distributed run on this machine, and how many there are."""
    return int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def _order(count: int) -> list[int]:
    """Numbers of the cases as a process decodes them: each begins elsewhere, and finds on the disk what others made."""
    rank, processes = _place()
    first = rank * count // processes
    return [*range(first, count), *range(first)]


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value)
    return value.detach().as_subclass(Tensor).contiguous() if isinstance(value, Tensor) else value


def _split_slices(case: Mapping) -> list[dict]:
    if case["image"].dim() == 3:
        return [dict(case)]
    depth = case["image"].shape[-1]
    return [{k: v[..., z] if isinstance(v, Tensor) else v for k, v in case.items()} for z in range(depth)]


def _files(item: Mapping) -> dict[str, str]:
    found = {key: ensure_tuple(item[key]) for key in ("image", "label") if key in item}
    return {key: ", ".join(map(str, paths)) for key, paths in found.items()}


def _unreadable(files: Mapping[str, str]) -> str:
    """The files of a case, the readable ones left out where that can be told."""
    broken = []
    for path in files.values():
        try:
            LoadImageOrSeriesd("file")({"file": path})
        except Exception:
            broken.append(path)
    return " and ".join(broken or files.values())


def _last_words(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def unlabeled_of(dataset: CachedDataset, cases: Sequence[Mapping], known: Sequence[Mapping] = ()) -> CachedDataset:
    """A data set of unlabeled cases, decoded as those of ``dataset``; none of those in it or in ``known``.

    Cases are told apart by their images, whichever way the paths are written.
    """
    taken = {Path(str(case["image"])).resolve() for case in [*dataset.data, *known]}
    rest = [case for case in cases if Path(str(case["image"])).resolve() not in taken]
    return CachedDataset(rest, dataset.transform, **dataset.settings)
