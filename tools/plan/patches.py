"""The shape of a patch, and how often a network halves each of its axes."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2, prod, sqrt

MULTIPLE = 16  # networks halve the extents four times
FEWEST_SLICES = 8  # that a network for volumes with thick slices has any depth from
BOTTOM = 4  # voxels that an axis keeps at the coarsest level
LEAST = 48  # side of a patch: bfloat16 gradients of 16 and 32 are wrong on CPUs
SQUARE = 4 / 3  # sides of a patch that differ by less are made equal, so that quarter turns are possible


def halvings_of(spacing: Sequence[float], size: Sequence[float]) -> tuple[int, ...]:
    """How often each axis is halved: from where its voxels are less than twice as wide as the finest, down to 4 voxels.

    Source: nnU-Net (Isensee et al., Nature Methods 2021).
    """
    wide, counts = list(spacing), [0] * len(spacing)
    for _ in range(4):
        halved = [side < 2 * min(wide) for side in wide]
        wide = [2 * side if half else side for side, half in zip(wide, halved)]
        counts = [count + half for count, half in zip(counts, halved)]
    thick = [4 if count == 4 else min(count, max(int(log2(max(n, 1) / BOTTOM)), 0)) for count, n in zip(counts, size)]
    return tuple(thick)


def best_patch(size: Sequence[float], limit: int, like: Sequence[float], halvings: Sequence[int]) -> list[int]:
    """Extents within ``limit`` voxels, shaped like ``like``, that can be halved so often.

    The whole volume is cut down: again and again the axis that is longest beside what the patch is shaped like, which
    leaves no patch flat. Two nearly equal first sides become equal.
    """
    steps = [2**n for n in halvings]
    patch = [max(-(-round(n) // step), 1) * step for n, step in zip(size, steps)]
    thick = [min(side, -(-FEWEST_SLICES // step) * step) for side, step in zip(patch, steps)]
    floors = [thick[axis] if step < MULTIPLE else LEAST if axis < 2 else step for axis, step in enumerate(steps)]
    whole = [max(side, floor) for side, floor in zip(patch, floors)]
    patch = list(whole)
    while prod(patch) > limit:
        free = [axis for axis in range(len(patch)) if patch[axis] - steps[axis] >= floors[axis]]
        if not free:
            break
        longest = max(free, key=lambda axis: patch[axis] / like[axis])
        patch[longest] -= steps[longest]
    if steps[:2] == [MULTIPLE] * 2 and max(patch[:2]) < SQUARE * min(patch[:2]):
        patch[:2] = [int(sqrt(patch[0] * patch[1])) // MULTIPLE * MULTIPLE] * 2
    while (
        len(patch) == 3
        and patch[2] + steps[2] <= whole[2]
        and patch[2] / like[2] < max(patch[0] / like[0], patch[1] / like[1])
        and patch[0] * patch[1] * (patch[2] + steps[2]) <= limit
    ):
        patch[2] += steps[2]
    return patch
