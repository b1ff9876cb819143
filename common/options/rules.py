"""Rules between options that need no data: what fits each value alone may not fit the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod

from ..errors import InputError
from .entries import children, references

NETWORKS = {"VNet": (3, 16), "ResNetVNet": (3, 16), "UNet2D": (2, 16)}  # axes of a patch, multiple of its extents
MOST_VOXELS = 2**27  # of a patch; its activations would fill the largest machines


def check_rules(values: Mapping[str, object], content: Mapping[str, object], networks: tuple[str, ...]) -> None:
    """Raise ``InputError`` for values that do not fit each other.

    Args:
        values: canonical values by name, of those options that are known.
        content: the merged configuration.
        networks: class names of the networks, as far as they are known.
    """
    if "iterations" in values and "epoch_length" in values:
        whole_epochs(values["iterations"], values["epoch_length"])
    if "patch_size" in values:
        _check_patch(values["patch_size"], values, networks)
    if "patch_size" in values and "stride" in values and "stride" in references(content.get("inferer")):
        _check_stride(values["stride"], values["patch_size"])
    if "patch_size" in values and "RandomRotFlip" in class_names(content.get("augment")):
        _check_square(values["patch_size"])


def whole_epochs(iterations: int, epoch_length: int) -> int:
    """Number of epochs that make up ``iterations`` exactly; ``InputError`` when there is none."""
    if epoch_length < 1 or iterations < 1 or iterations % epoch_length:
        raise InputError(f"iterations={iterations} must be a positive multiple of epoch_length={epoch_length}")
    return iterations // epoch_length


def _check_patch(patch: list[int], values: Mapping[str, object], networks: tuple[str, ...]) -> None:
    for extents, multiple in (NETWORKS[name] for name in networks if name in NETWORKS):
        if len(patch) != extents:
            what = "slices" if extents == 2 else "volumes"
            example = [multiple * 4] * extents
            raise InputError(f"--patch_size {patch}: the network is for {what}; give {extents} extents, {example}")
        if any(side % multiple for side in patch):
            raise InputError(f"--patch_size {patch}: the network takes multiples of {multiple} on each axis")
    if prod(patch) > MOST_VOXELS:
        raise InputError(f"--patch_size {patch}: expected at most {MOST_VOXELS} voxels; no memory holds more")


def _check_stride(stride: list[int], patch: list[int]) -> None:
    if len(stride) != len(patch):
        raise InputError(f"--stride {stride}: expected as many values as patch_size has, {len(patch)}")
    if any(step > side for step, side in zip(stride, patch)):
        raise InputError(f"--stride {stride}: expected steps of at most the patch, {patch}; larger ones leave gaps")


def _check_square(patch: list[int]) -> None:
    if patch[0] != patch[1]:
        raise InputError(f"--patch_size {patch}: quarter turns (augment) need two equal first extents")


def class_names(node: object) -> Iterator[str]:
    """Class names of the components in a part of a configuration."""
    if isinstance(node, Mapping):
        if isinstance(node.get("_target_"), str):
            yield node["_target_"].rpartition(".")[2]
    for child in children(node).values():
        yield from class_names(child)
