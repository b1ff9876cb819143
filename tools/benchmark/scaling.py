"""How time and memory grow with the work, at three sizes, each in a process of its own."""

from __future__ import annotations

import csv
import math
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import Any

import nibabel
import numpy as np
import torch

from common.data import CachedDataset, VolumePreprocessing
from common.data.disk import PLACE
from common.inferers import SlidingWindowInferer
from common.losses import SupervisedLoss
from common.networks import VNet

from ..phantom import phantom
from ..run import BUNDLES
from .private import PeakMemory

WINDOW = (64, 64, 32)
STEPS = 20  # of a training
Work = Callable[[], float]  # returns its seconds
Growth = Callable[[int, str], Work]  # of a size and a device


def volume(voxels: int, device: str) -> Work:
    """voxels of a volume, inference at half a window's stride"""
    times = round((voxels / math.prod(WINDOW)) ** (1 / 3))
    network = VNet(base_channels=8).eval().to(device)
    inferer = SlidingWindowInferer(WINDOW, [side // 2 for side in WINDOW], amp=False)
    shape = [side * times for side in WINDOW]
    return lambda: least(torch.no_grad()(lambda: inferer(torch.zeros(1, 1, *shape, device=device).normal_(), network)))


def classes(count: int, device: str) -> Work:
    """classes, the supervised loss and its gradient on 2 patches 64 x 64 x 32"""
    loss_of = SupervisedLoss(dice="squared", dice_weight=0.5, ce_weight=0.5)
    logits = torch.randn(2, count, *WINDOW, device=device, requires_grad=True)
    label = torch.randint(count, (2, 1, *WINDOW), device=device)
    return lambda: least(lambda: torch.autograd.grad(loss_of(logits, label), logits))


def batch(samples: int, device: str) -> Work:
    """samples of a batch, the V-Net of 8 filters forward and backward"""
    network = VNet(base_channels=8).to(device)
    image = torch.randn(samples, 1, *WINDOW, device=device)
    return lambda: least(lambda: torch.autograd.grad(network(image).mean(), network.head.weight))


def unlabeled(volumes: int, device: str) -> Work:
    """unlabeled volumes 64 x 64 x 32 on a warm disk cache, until a process can draw from them"""
    folder = tempfile.TemporaryDirectory()
    for number in range(volumes):
        noise = np.random.default_rng(number).integers(0, 1000, WINDOW, np.int16)
        nibabel.save(nibabel.Nifti1Image(noise, np.eye(4)), Path(folder.name) / f"{number}.nii")
    os.environ[PLACE] = f"{folder.name}/cache"
    _apart(_decode, folder.name)
    return lambda: _decode(folder.name)


def _decode(folder: str) -> float:
    started = perf_counter()
    cases = [{"image": str(path)} for path in sorted(Path(folder).glob("*.nii"))]
    held = CachedDataset(cases, VolumePreprocessing(), device="disk")
    return perf_counter() - started if len(held) == len(cases) else math.nan


def processes(count: int, device: str, bundle: str = "meanteacher_segmentation") -> Work:
    """processes of one training, a thread each, a step of Mean Teacher's demo, with all that they import"""
    folder = tempfile.TemporaryDirectory()
    data, output = phantom(f"{folder.name}/data", validation=0, test=0), Path(folder.name, "run")
    options = {"dataset_dir": data, "output_dir": output, "iterations": STEPS, "epoch_length": STEPS // 4}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}"]
    command = [*launcher, "-m", "tools", "run", bundle, "demo", *words, "--device", device]

    def train() -> float:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with folder:
            subprocess.run(command, cwd=BUNDLES.parent, env=environment, check=True, capture_output=True)
            rows = list(csv.DictReader((output / "history.csv").read_text(encoding="utf-8").splitlines()))
        return min(float(row["seconds_per_step"]) for row in rows[1:])

    return train


GROWTHS: Mapping[Growth, Sequence[int]] = {
    volume: [math.prod(WINDOW) * times**3 for times in (1, 2, 3)],
    classes: (2, 8, 32),
    batch: (2, 4, 8),
    unlabeled: (16, 64, 256),
    processes: (1, 2, 4),
}


def measure(device: str) -> list[dict[str, Any]]:
    """Seconds and bytes at each size, the exponent of a power that fits the seconds, and bytes for one size more.

    Bytes are the most that the work's processes had for themselves beyond what was held before it; NaN where the system
    does not say.
    """
    found = []
    for growth, sizes in GROWTHS.items():
        pairs = {size: _apart(_grown, growth, size, device, torch.get_num_threads()) for size in sizes}
        seconds, memory = ([pair[part] for pair in pairs.values()] for part in (0, 1))
        row = {
            "what": growth.__doc__,
            "seconds": dict(zip(pairs, seconds)),
            "bytes": dict(zip(pairs, memory)),
            "exponent": float(np.polyfit(np.log(list(pairs)), np.log(seconds), 1)[0]),
            "bytes_each": float(np.polyfit(list(pairs), memory, 1)[0]),
        }
        found.append(row)
    return found


def as_text(rows: Sequence[Mapping]) -> str:
    header = ["what grows", "sizes", "seconds", "exponent", "MiB", "bytes for one more"]
    lines = [header, ["---"] * len(header)]
    for row in rows:
        sizes = ", ".join(f"{size:,}" for size in row["seconds"])
        seconds = ", ".join(f"{value:.3f}" for value in row["seconds"].values())
        memory = ", ".join(f"{value / 2**20:.0f}" for value in row["bytes"].values())
        lines.append([row["what"], sizes, seconds, f"{row['exponent']:.2f}", memory, f"{row['bytes_each']:,.0f}"])
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def least(call: Callable[[], Any], rounds: int = 3) -> float:
    """Seconds of the quickest of ``rounds`` calls after a first one."""
    call()
    durations = []
    for _ in range(rounds):
        started = perf_counter()
        call()
        durations.append(perf_counter() - started)
    return min(durations)


def _grown(growth: Growth, size: int, device: str, threads: int) -> tuple[float, float]:
    torch.set_num_threads(threads)
    work = growth(size, device)
    with PeakMemory() as memory:
        seconds = work()
    return seconds, memory.most - memory.before


def _apart(function: Callable, *arguments: Any) -> Any:
    """What a function returns in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()
