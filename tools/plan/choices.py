"""From the fingerprint of a data set to the settings of a training, with a reason for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod, sqrt
from typing import Any

from common.errors import InputError

from .fingerprint import THICK, Fingerprint
from .machine import GIB, SHARE, Cost, Machine
from .method import Facts, Method
from .patches import BOTTOM, FEWEST_SLICES, LEAST, MULTIPLE, best_patch, halvings_of

WHOLE = 0.5  # of a volume or slice in a patch: wherever it lies, it holds some of what is labeled
FOREGROUND = 0.33  # of labeled patches around what is labeled, as in nnU-Net
FEW_SLICES = 24  # fewer leave one that halves all axes alike no depth
CONTEXT = 0.5  # of each extent of a volume is what a patch shall hold around the largest class, up to twice its size
CLOSE = 0.85  # of the largest class is as good as all of it: most are smaller, and sides go in steps of 16
ACROSS = 4  # voxels that the smallest class has across at the coarsest spacing
VOXELS = {"cpu": 2**17, "cuda": 2**20}  # of a patch
SIDE = {"cpu": 128, "cuda": 256}  # of a slice
ITERATIONS = {("cpu", 3): 2000, ("cpu", 2): 2000, ("cuda", 3): 6000, ("cuda", 2): 10000}
PAYS = 2000  # iterations from which on unlabeled images were seen to pay
NARROW = 8  # filters of the first level on a CPU: longer and narrower beats shorter and wider
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


def pick_dims(found: Fingerprint, pooled: bool = True) -> tuple[int, str]:
    """2 or 3, and why; ``pooled``: the network for volumes can halve thick axes less often."""
    if found.dims == 2:
        return 2, "the images are pictures"
    thin = found.thin_axis if found.anisotropy >= THICK else 2
    spacing, within = found.spacings[1], min(side for axis, side in enumerate(found.spacings[1]) if axis != thin)
    seen = f"{found.sizes[1][thin]:g} slices, {spacing[thin]:g} mm across, {within:g} mm within"
    if found.anisotropy < THICK:
        few = found.sizes[1][2] < FEW_SLICES
        return (2, f"slices are trained one by one: {seen}") if few else (3, f"volumes: {seen}")
    if found.sizes[1][thin] >= FEWEST_SLICES and pooled:
        return 3, f"volumes of thick slices: {seen}"
    return (2, f"slices are trained one by one: {seen}") if thin == 2 else (3, f"volumes, thin in a plane: {seen}")


def width_of(method: Method, machine: Machine) -> Mapping[str, Any]:
    """Settings that make the networks of a method smaller where the machine is a CPU."""
    if machine.device != "cpu":
        return {}
    return method.facts.cpu or ({"base_channels": NARROW} if method.has("base_channels") else {})


def choose(
    found: Fingerprint,
    dims: int,
    machine: Machine,
    cost: Cost,
    schedule_at: int | None = None,
    method: Method | None = None,
    share: float = 1.0,
) -> Plan:
    """All settings that follow from the data, the machine and the method; ``share``: of the voxels of a usual patch.

    Raises:
        InputError: where not even the smallest batch fits the memory.
    """
    plan = Plan(dims, method)
    coded = isinstance(found.encoding, Mapping)
    stored = f"{', '.join(map(str, found.encoding))}" if coded else f"0 to {found.classes - 1}"
    plan.set("num_classes", found.classes, f"label values {stored}, background included")
    plan.set("in_channels", found.channels, f"channels of the images ({found.modality})")
    _set_intensities(plan, found)
    if dims == 2:
        _set_slices(plan, found, int(SIDE[machine.device] * sqrt(share)) // MULTIPLE * MULTIPLE)
    else:
        _set_patch(plan, found, int(VOXELS[machine.device] * share))
    for key, value in width_of(method, machine).items() if method else ():
        plan.set(key, value, "narrower than published, so that a CPU trains longer")
    _set_batch(plan, machine, cost)
    iterations = schedule_at or ITERATIONS[machine.device, dims]
    why = "as given" if schedule_at else f"usual on a {'GPU' if machine.device == 'cuda' else 'CPU'}"
    short = f"; with fewer than {PAYS} unlabeled images may cost more than they give" if iterations < PAYS else ""
    plan.set("iterations", iterations, f"{why}; the schedules follow them{short}")
    epoch = next(n for n in (100, 50, 20, 10, 5, 2, 1) if iterations % n == 0)
    plan.set("epoch_length", epoch, "iterations between two rows of the log; divides them")
    ramp = plan.facts.ramp_up
    plan.set("ramp_up", round(ramp * iterations), f"unlabeled terms have their full weight after {ramp:.0%} of them")
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


def _set_slices(plan: Plan, found: Fingerprint, most: int) -> None:
    size: Sequence[float] = found.sizes[1]
    plan.set("slices", True, "volumes are split along head-feet" if found.dims == 3 else "flat images stay as they are")
    if plan.method is None or not plan.method.has("slice_fit"):
        side = min(max(_round_up(max(size[:2])), 2 * MULTIPLE), most)
        seen = f"slices of {size[0]:g} x {size[1]:g} are resized"
        plan.set("patch_size", [side, side], f"{seen}; a multiple of {MULTIPLE}, at most {most}")
        return
    if found.dims == 2:
        share = min(most / max(size), 1.0)
        patch = [max(_round_up(round(side * share)), LEAST) for side in size]
        plan.set("spacing", None, "pictures have no voxel size")
        plan.set("slice_fit", "resize", "pictures are seen whole, each resized")
        plan.set("patch_size", patch, f"the shape of the median picture, {size[0]:g} x {size[1]:g}, at most {most}")
    else:
        spacing, size = _coarsen(found, most**2, 2)
        patch = best_patch(size[:2], most**2, _reference(found, spacing), (4, 4))
        _set_spacing(plan, found, [*spacing[:2], None])
        plan.set("slice_fit", "patch", "slices keep their pixels: small ones are padded, patches cut from large ones")
        plan.set("patch_size", patch, _covered(found, patch, spacing, size))
        _set_foreground(plan, patch, size)
        _set_strides(plan, patch)
    _set_symmetries(plan, patch, None)


def _set_patch(plan: Plan, found: Fingerprint, limit: int) -> None:
    spacing, size = _coarsen(found, limit, 3)
    halvings = halvings_of(spacing, size) if plan.method is None or plan.method.has("pooling") else (4, 4, 4)
    patch = best_patch(size, limit, _reference(found, spacing), halvings)
    _set_spacing(plan, found, spacing)
    small = any(
        least * old / new < side
        for least, old, new, side in zip(found.sizes[0], found.spacings[1], spacing, patch, strict=True)
    )
    if halvings == (4, 4, 4):
        plan.set("pooling", None, "voxels are about as deep as wide: all axes are halved four times")
    else:
        why = "thick axes are halved once the others are as coarse"
        plan.set("pooling", list(halvings), f"{why}, and keep {BOTTOM} voxels")
    text = _covered(found, patch, spacing, size)
    plan.set("patch_size", patch, text + ("; smaller volumes are padded with zeros" if small else ""))
    _set_foreground(plan, patch, size)
    _set_strides(plan, patch)
    _set_symmetries(plan, patch, spacing)


def _set_spacing(plan: Plan, found: Fingerprint, spacing: Sequence[float | None]) -> None:
    """The target spacing, or ``None`` where all images have it."""
    changed = [
        goal is not None and (found.spacings[2][axis] - found.spacings[0][axis] > 1e-3 or goal > 1.01 * old)
        for axis, (goal, old) in enumerate(zip(spacing, found.target, strict=True))
    ]
    if not any(changed):
        plan.set("spacing", None, f"all images have {' x '.join(f'{s:g}' for s in found.spacings[1])} mm")
        return
    coarser = any(goal is not None and goal > 1.01 * old for goal, old in zip(spacing, found.target))
    text = "the median" if found.target == list(found.spacings[1]) else "the median, percentile 10 across thick slices"
    why = f"coarser than {text}, so that a patch holds more" if coarser else text
    kept = "; null: slices are not interpolated" if None in spacing else ""
    plan.set("spacing", [s if s is None else round(s, 3) for s in spacing], f"{why} (mm){kept}")


def _set_strides(plan: Plan, patch: Sequence[int]) -> None:
    half = [max(side // 2, 1) for side in patch]
    plan.set("stride", half, "of windows in validation and inference: half a patch")
    plan.set("test_stride", half, "of windows in the evaluation: half a patch")


def _set_symmetries(plan: Plan, patch: Sequence[int], spacing: Sequence[float] | None) -> None:
    turns = patch[0] == patch[1] and (spacing is None or abs(spacing[0] / spacing[1] - 1) < 0.05)
    if turns:
        plan.set("symmetries", "full", "of the square plane")
    else:
        plan.set("symmetries", "mirrors", "the plane is no square, so there are no quarter turns")


def _set_foreground(plan: Plan, patch: Sequence[int], size: Sequence[float]) -> None:
    share = _share(patch, size)
    if share < WHOLE:
        plan.set(
            "foreground_share", FOREGROUND, f"a patch holds {share:.0%}: nnU-Net's share lies around what is labeled"
        )
    else:
        plan.set("foreground_share", 0, f"a patch holds {share:.0%} wherever it lies")


def _share(patch: Sequence[int], size: Sequence[float]) -> float:
    """What a patch holds of the median volume or slice, 0 to 1."""
    return prod(min(p, n) for p, n in zip(patch, size)) / prod(size[: len(patch)])


def _covered(found: Fingerprint, patch: Sequence[int], spacing: Sequence[float], size: Sequence[float]) -> str:
    """The reason for a patch: what it holds."""
    dims = len(patch)
    text = f"{_share(patch, size):.0%} of the median {'volume' if dims == 3 else 'slice'}, {_times(size[:dims])} voxels"
    if found.organ is None:
        return text
    wide = _times([p * s for p, s in zip(patch, spacing)])
    less = any(p * s < CLOSE * side for p, s, side in zip(patch, spacing, found.organ))
    held = "less than the largest class" if less else "the largest class"
    return f"{text}; {wide} mm hold {held}, {_times(found.organ[:dims])}"


def _times(values: Sequence[float]) -> str:
    return " x ".join(f"{value:.0f}" for value in values)


def _reference(found: Fingerprint, spacing: Sequence[float]) -> list[float]:
    """What a patch is shaped like, in voxels: the largest class, or the median volume."""
    if found.organ is not None:
        return [max(side / step, 1.0) for side, step in zip(found.organ, spacing)]
    return [n * old / new for n, old, new in zip(found.sizes[1], found.spacings[1], spacing)]


def _coarsen(found: Fingerprint, voxels: int, dims: int) -> tuple[list[float], list[float]]:
    """Spacing at which so many voxels hold the largest class with some context, and the median extents at it.

    The finest axes are coarsened first, and never so far that the smallest class has fewer than ``ACROSS`` voxels.
    """
    target = found.target
    extents = [n * s for n, s in zip(found.sizes[1], found.spacings[1])]
    half = [CONTEXT * extent for extent in extents]
    held = [max(side, min(part, 2 * side)) for side, part in zip(found.organ or half, half)]

    def coarser(finest: float) -> list[float]:
        return [max(s, finest) if axis < dims else s for axis, s in enumerate(target)]

    low, high = 0.0, max(extents)
    for _ in range(40):
        middle = (low + high) / 2
        needed = prod(side / s for side, s in zip(held[:dims], coarser(middle)))
        low, high = (low, middle) if needed <= voxels else (middle, high)
    if found.smallest is not None:
        high = min(high, found.smallest / ACROSS)
    spacing = coarser(high)
    return spacing, [max(extent / s, 1.0) for extent, s in zip(extents, spacing)]


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
