"""From the fingerprint of a data set to the settings of a training, with a reason for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any

from common.errors import InputError

from .fingerprint import Fingerprint
from .machine import GIB, SHARE, Cost, Machine
from .method import Facts, Method

MULTIPLE = 16  # networks halve the extents four times
THIN = 3.0  # spacing across slices over spacing within them from which on slices are trained one by one
FEW_SLICES = 24  # fewer leave a 3D network no depth
COVER = {"cpu": 3, "cuda": 8}  # a patch shall hold a third, an eighth of a volume; few voxels must show enough
VOXELS = {"cpu": 2**17, "cuda": 2**20}  # of a patch
SIDE = {"cpu": 128, "cuda": 256}  # of a slice
ITERATIONS = {("cpu", 3): 1000, ("cpu", 2): 1000, ("cuda", 3): 6000, ("cuda", 2): 10000}
BATCHES = {3: (2, 1), 2: (12, 8, 4, 2)}
CONTRAST = 0.6  # of random gain and offset; 10 points of Dice with 4 labeled atria
CPU_BATCH = 4  # of slices; a step on a CPU shall take about a second


@dataclass
class Plan:
    """Settings by configuration id, each with its reason, in the order they were chosen.

    Those that its method has no option for are left out.
    """

    dims: int = 3
    method: Method | None = None
    values: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def facts(self) -> Facts:
        return Facts() if self.method is None else self.method.facts

    def set(self, key: str, value: Any, reason: str) -> None:
        if self.method is None or self.method.has(key):
            self.values[key], self.reasons[key] = value, reason


def pick_dims(found: Fingerprint) -> tuple[int, str]:
    """2 or 3, and why."""
    if found.dims == 2:
        return 2, "the images are pictures"
    across = f"{found.spacings[1][2]:g} mm across slices, {min(found.spacings[1][:2]):g} mm within"
    thin = found.anisotropy >= THIN and found.thin_axis == 2
    if thin or found.sizes[1][2] < FEW_SLICES:
        return 2, f"slices are trained one by one: {found.sizes[1][2]:g} of them, {across}"
    return 3, f"volumes: {found.sizes[1][2]:g} slices, {across}"


def width_of(facts: Facts, machine: Machine) -> Mapping[str, Any]:
    """Settings that make the networks of a method smaller where the machine is a CPU."""
    return facts.cpu if machine.device == "cpu" else {}


def choose(
    found: Fingerprint,
    dims: int,
    machine: Machine,
    cost: Cost,
    schedule_at: int | None = None,
    method: Method | None = None,
) -> Plan:
    """All settings that follow from the data, the machine and the method.

    Raises:
        InputError: where not even the smallest batch fits the memory.
    """
    plan = Plan(dims, method)
    plan.set("num_classes", found.classes, f"label values 0 to {found.classes - 1}, background included")
    plan.set("in_channels", found.channels, f"channels of the images ({found.modality})")
    _set_intensities(plan, found)
    if dims == 2:
        _set_slices(plan, found, machine)
    else:
        _set_patch(plan, found, machine)
    for key, value in width_of(plan.facts, machine).items():
        plan.set(key, value, "smaller than published, for a CPU")
    _set_batch(plan, machine, cost)
    iterations = schedule_at or ITERATIONS[machine.device, dims]
    why = "as given" if schedule_at else f"usual on a {'GPU' if machine.device == 'cuda' else 'CPU'}"
    plan.set("iterations", iterations, f"{why}; the schedules follow them")
    epoch = next(n for n in (100, 50, 20, 10, 5, 2, 1) if iterations % n == 0)
    plan.set("epoch_length", epoch, "iterations between two rows of the log; divides them")
    share = plan.facts.ramp_up
    plan.set("ramp_up", round(share * iterations), f"unlabeled terms have their full weight after {share:.0%} of them")
    plan.set("schedule", "poly", "the rate falls to zero within the run, however short")
    plan.set("lr_step", round(0.4 * iterations), "iterations between two drops, where the rate drops in steps")
    return plan


def _set_intensities(plan: Plan, found: Fingerprint) -> None:
    ct = "CT, in HU: what is labeled, by percentiles 0.5 and 99.5 of every class, and a tenth more on either side"
    other = "not CT: intensities have no fixed scale"
    plan.set("window", found.window, ct if found.window else other)
    plan.set("normalize", True, "each image and channel to zero mean and unit variance")
    if found.modality.startswith("MR"):
        plan.set("contrast", CONTRAST, "few labeled volumes show few levels of contrast (docs/experiments.md)")


def _set_slices(plan: Plan, found: Fingerprint, machine: Machine) -> None:
    sides = [max(size[:2]) for size in found.sizes]
    side = min(max(_round_up(sides[1]), 2 * MULTIPLE), SIDE[machine.device])
    seen = f"slices of {found.sizes[1][0]:g} x {found.sizes[1][1]:g} are resized"
    plan.set("slices", True, "volumes are split along head-feet" if found.dims == 3 else "flat images stay as they are")
    plan.set("spacing", None, "slices are resized instead")
    plan.set("patch_size", [side, side], f"{seen}; a multiple of {MULTIPLE}, at most {SIDE[machine.device]}")


def _set_patch(plan: Plan, found: Fingerprint, machine: Machine) -> None:
    limit = VOXELS[machine.device]
    spacing, size = _coarsen(found, COVER[machine.device] * limit)
    patch = best_patch(size, limit)
    equal = all(abs(a - b) < 1e-3 for a, b in zip(found.spacings[0], found.spacings[2]))
    if equal and max(spacing[i] / found.spacings[1][i] for i in range(3)) < 1.15:
        plan.set("spacing", None, f"all images have {' x '.join(f'{s:g}' for s in found.spacings[1])} mm")
        size, patch = list(found.sizes[1]), best_patch(found.sizes[1], limit)
    else:
        why = "the median" if spacing == list(found.spacings[1]) else "coarser than the median, so a patch sees enough"
        plan.set("spacing", [round(s, 3) for s in spacing], f"{why} (mm)")
    scale = [new / old for new, old in zip(size, found.sizes[1])]
    small = any(least * k < p for least, k, p in zip(found.sizes[0], scale, patch))
    share = min(prod(patch) / prod(size), 1.0)
    text = f"{share:.0%} of the median volume of {' x '.join(f'{n:.0f}' for n in size)}, multiples of {MULTIPLE}"
    plan.set("patch_size", patch, text + ("; smaller volumes are padded with zeros" if small else ""))
    plan.set("stride", [p // 2 for p in patch], "of windows in validation and inference: half a patch")
    plan.set("test_stride", [p // 2 for p in patch], "of windows in the evaluation: half a patch")


def _coarsen(found: Fingerprint, most: int) -> tuple[list[float], list[float]]:
    """Spacing and extents of the median volume with at most so many voxels: the finest axes are coarsened first."""
    extents = [n * s for n, s in zip(found.sizes[1], found.spacings[1])]

    def coarser(finest: float) -> tuple[list[float], list[float]]:
        spacing = [max(s, finest) for s in found.spacings[1]]
        return spacing, [e / s for e, s in zip(extents, spacing)]

    low, high = 0.0, max(extents)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if prod(coarser(middle)[1]) <= most else (middle, high)
    return coarser(high)


def best_patch(size: tuple[float, ...] | list[float], limit: int) -> list[int]:
    """Multiples of 16, square in the first two axes, that cover most of ``size`` within ``limit`` voxels.

    Sides of 16 and 32 are left out for the square: bfloat16 gradients are wrong there on CPUs.
    """
    plane, depth = max(size[0], size[1]), size[2]
    sides = range(48, max(_round_up(plane), 48) + 1, MULTIPLE)
    depths = range(MULTIPLE, max(_round_up(depth), MULTIPLE) + 1, MULTIPLE)

    def worth(patch: tuple[int, int]) -> tuple[float, int]:
        side, height = patch
        return min(side, size[0]) * min(side, size[1]) * min(height, depth), -side * side * height

    side, height = max(((a, b) for a, b in product(sides, depths) if a * a * b <= limit), key=worth)
    return [side, side, height]


def _round_up(value: float) -> int:
    return -(-int(value) // MULTIPLE) * MULTIPLE


def _set_batch(plan: Plan, machine: Machine, cost: Cost) -> None:
    """The largest equal split into labeled and unlabeled samples that fits, on a CPU not more than ``CPU_BATCH``."""
    patch = plan.values["patch_size"]
    halves = [n for n in BATCHES[plan.dims] if machine.device == "cuda" or n <= CPU_BATCH]
    for half in halves:
        need = cost.of(patch, 2 * half)
        if need <= SHARE * machine.memory:
            room = f"about {need / GIB:.1f} of {machine.memory / GIB:.0f} GiB"
            plan.set("labeled_batch", half, f"labeled samples per step; a step takes {room}")
            plan.set("unlabeled_batch", half, "as many unlabeled ones")
            return
    need = cost.of(patch, 2 * halves[-1])
    raise InputError(
        f"a step needs about {need / GIB:.1f} GiB, this machine has {machine.memory / GIB:.1f} (memory, device)"
    )
