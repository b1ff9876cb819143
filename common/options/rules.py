"""Rules between options that need no data: what fits each value alone may not fit the others."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from ..errors import InputError

STRIDES = ("stride", "test_stride")
FAST = "fast"  # instead of a stride: see common.inferers.SlidingWindowInferer
MOST_VOXELS = 2**27  # of a patch; its activations would fill the largest machines


def check_rules(values: Mapping[str, Any], multiple: int = 1) -> None:
    """Raise ``InputError`` for values that do not fit each other.

    Args:
        values: canonical values by name, of those options that are known.
        multiple: what the extents of a patch must be multiples of, where no ``pooling`` says otherwise.
    """
    if "iterations" in values and "epoch_length" in values:
        whole_epochs(values["iterations"], values["epoch_length"])
    if "patch_size" not in values:
        return
    patch = values["patch_size"]
    multiples = _multiples(values, multiple)
    _check_patch(patch, multiples)
    for name in ("labeled_batch", "unlabeled_batch"):
        if multiple > 1 and values.get(name) == 1 and patch == multiples:
            raise InputError(
                f"--{name} 1: batch norm needs two values, and a patch of {patch} leaves one; take 2 or more"
            )
    if "slices" in values and values["slices"] != (len(patch) == 2):
        given = "slices are cut: give two extents" if values["slices"] else "two extents are of slices: give three"
        raise InputError(f"--patch_size {patch}: {given}, or set slices to {str(not values['slices']).lower()}")
    if values.get("symmetries", "none") not in ("none", "mirrors") and patch[0] != patch[1]:
        raise InputError(
            f"--patch_size {patch}: quarter turns need two equal first extents, or symmetries mirrors or none"
        )
    if values.get("foreground_share") and len(patch) == 2 and values.get("slice_fit") != "patch":
        raise InputError(
            f"--foreground_share {values['foreground_share']}: whole slices are resized and nothing is cut from them; "
            "expected 0, or slice_fit patch"
        )
    if values.get("stride") == FAST and values.get("stride_factor", 1) != 1:
        raise InputError(f"--stride_factor {values['stride_factor']}: stride fast has no steps; leave one of them out")
    for name in STRIDES:
        windows = len(patch) == 3 or (values.get("slice_fit") == "patch" and len(values.get(name, ())) == 2)
        if windows and values.get(name, FAST) != FAST:
            _check_stride(name, values[name], patch)


def mixed_halves(values: Mapping[str, Any]) -> None:
    """A rule of methods that mix the two halves of a batch; ``InputError`` for numbers that have none or do not fit."""
    labeled, unlabeled = values.get("labeled_batch"), values.get("unlabeled_batch")
    if isinstance(labeled, int) and labeled % 2:
        raise InputError(f"--labeled_batch {labeled}: expected an even number; the halves of a batch are mixed")
    if labeled and unlabeled and labeled != unlabeled:
        raise InputError(f"--unlabeled_batch {unlabeled}: expected as many as labeled_batch, {labeled}, or 0")


def fitted_strides(values: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, list[int]]:
    """Strides that nobody gave, cut to the patch where they exceed it: the defaults are those of a large one.

    Args:
        values: canonical values by name.
        base: the configuration's first file, whose strides are the defaults; where it is not known, all may be.
    """
    patch = values.get("patch_size", ())
    return {
        name: [min(step, side) for step, side in zip(values[name], patch)]
        for name in STRIDES
        if len(patch) == 3
        and values.get(name, FAST) != FAST
        and values[name] == base.get(name, values[name])
        and any(step > side for step, side in zip(values[name], patch))
    }


def whole_epochs(iterations: int, epoch_length: int) -> int:
    """Number of epochs that make up ``iterations`` exactly; ``InputError`` when there is none."""
    if epoch_length < 1 or iterations < 1 or iterations % epoch_length:
        raise InputError(f"iterations={iterations} must be a positive multiple of epoch_length={epoch_length}")
    return iterations // epoch_length


def _multiples(values: Mapping[str, Any], multiple: int) -> list[int]:
    """What each extent of a patch must be a multiple of: less where the network halves an axis less often."""
    patch, pooling = values["patch_size"], values.get("pooling")
    if pooling is None:
        return [multiple] * len(patch)
    if len(patch) == 2:
        raise InputError(f"--pooling {pooling}: slices are pooled along both axes alike; leave it null")
    return [2**n if multiple > 1 else 1 for n in pooling]


def _check_patch(patch: list[int], multiples: list[int]) -> None:
    if any(side % multiple for side, multiple in zip(patch, multiples)):
        text = multiples[0] if len({*multiples}) == 1 else " x ".join(map(str, multiples))
        raise InputError(f"--patch_size {patch}: the network takes multiples of {text} on each axis")
    if prod(patch) > MOST_VOXELS:
        raise InputError(f"--patch_size {patch}: expected at most {MOST_VOXELS} voxels; no memory holds more")


def _check_stride(name: str, stride: list[int], patch: list[int]) -> None:
    if len(stride) != len(patch):
        raise InputError(f"--{name} {stride}: expected as many values as patch_size has, {len(patch)}")
    if any(step > side for step, side in zip(stride, patch)):
        raise InputError(f"--{name} {stride}: expected steps of at most the patch, {patch}; larger ones leave gaps")
