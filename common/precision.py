"""The number type that networks compute in: as set, or as suits the machine."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from .errors import require_choice

AUTO = "auto"
TYPES = {True: torch.bfloat16, "bfloat16": torch.bfloat16, "float16": torch.float16, False: None, "float32": None}
CHOICES = (AUTO, *TYPES)
GAIN = 1.2  # least speed-up that pays: networks do more than convolve
ROUNDS = 6
CLOCK = time.perf_counter if sys.platform == "win32" else time.thread_time  # Windows counts a thread's time in 16 ms


@dataclass(frozen=True)
class Precision:
    """A choice of number type.

    Attributes:
        dtype: type of autocast, ``None`` for float32 throughout. float16 needs loss scaling in training.
        reason: why this one, in a few words.
    """

    dtype: torch.dtype | None
    reason: str

    @property
    def name(self) -> str:
        return "float32" if self.dtype is None else str(self.dtype).removeprefix("torch.")

    def autocast(self, device_type: str) -> torch.autocast:
        """A block in which networks compute in this type; one of float32 also ends an outer autocast."""
        return torch.autocast(device_type, dtype=self.dtype, enabled=self.dtype is not None)


def choose_precision(amp: bool | str, device: torch.device | str) -> Precision:
    """The number type for a device; the log says once which and why.

    Args:
        amp: ``auto`` takes bfloat16 where the device is faster with it, float16 on older GPUs, else float32; ``True``
            or ``bfloat16``, ``float16``, and ``False`` or ``float32`` are taken at their word.
        device: where the networks are.

    Raises:
        InputError: for another ``amp``.
    """
    require_choice(amp=(amp, CHOICES))
    device = torch.device(device)
    precision = _suited(device) if amp == AUTO else Precision(TYPES[amp], f"amp: {str(amp).lower()}")
    _log_once(device.type, precision)
    return precision


def _suited(device: torch.device) -> Precision:
    if device.type == "cpu":
        speedup = bfloat16_speedup()
        compared = f"on this CPU bfloat16 convolutions run at {speedup:.2g} times the speed of float32"
        return Precision(torch.bfloat16 if speedup >= GAIN else None, compared)
    if device.type != "cuda":
        return Precision(None, f"{device.type}: lower precision is not known to be faster")
    capability = torch.cuda.get_device_capability(device)
    found = f"{torch.cuda.get_device_name(device)}, compute capability {capability[0]}.{capability[1]}"
    if capability >= (8, 0):
        return Precision(torch.bfloat16, found)
    if capability >= (7, 0):
        return Precision(torch.float16, f"{found}: no native bfloat16")
    return Precision(None, f"{found}: no fast arithmetic of 16 bits")


@cache
def _log_once(device_type: str, precision: Precision) -> None:
    logging.getLogger("Precision").info(f"precision on {device_type}: {precision.name} ({precision.reason})")


@cache
def bfloat16_speedup() -> float:
    """How many times as fast as in float32 this CPU convolves in bfloat16, forward and backward; found by trying.

    What the processor says of itself does not tell: instructions for bfloat16 can be slower than those for float32, and
    without any a convolution takes 10 to 160 times as long. The smaller of the ratios of a 2D and a 3D convolution,
    channels-last, on one thread; under half a second, once in a process.
    """
    speedup, threads = math.inf, torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            for convolve, layout, image, kernel in (
                (torch.conv2d, torch.channels_last, (1, 32, 64, 64), (32, 32, 3, 3)),
                (torch.conv3d, torch.channels_last_3d, (2, 16, 16, 16, 16), (16, 16, 3, 3, 3)),
            ):
                x, weight = (
                    torch.full(shape, 0.01).to(memory_format=layout).requires_grad_() for shape in (image, kernel)
                )
                speedup = min(speedup, _speedup(convolve, x, weight))
                if speedup < GAIN:
                    break
    finally:
        torch.set_num_threads(threads)
    return speedup


def _speedup(convolve: Callable[..., Tensor], x: Tensor, weight: Tensor) -> float:
    """Ratio of the least times of either type, tried in turns; ended early when bfloat16 is far behind.

    The thread's own time leaves out what other work takes from the machine.
    """
    least = {False: math.inf, True: math.inf}
    for number in range(ROUNDS + 1):
        for half in least:
            started = CLOCK()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
                y = convolve(x, weight, padding=1)
            torch.autograd.grad(y, (x, weight), torch.ones_like(y))
            if number:  # the first round also compiles
                least[half] = min(least[half], CLOCK() - started)
        if number and least[True] > 3 * least[False]:
            break
    return least[False] / max(least[True], 1e-9)
