"""Options of SS-Net alone."""

from __future__ import annotations

from common.errors import InputError
from common.options.containers import Mapping, Optional
from common.options.table import COUNT, EXTENTS
from common.options.types import Boolean, Choice, Integer, Number, Option

PATCH_MULTIPLE = 16  # the V-Net and the U-Net halve the extents four times
OPTIONS = (
    Option("ramp_up", COUNT, "iterations until both unsupervised terms have their full weight"),
    Option("ramp_start", COUNT, "iteration that counts as step 0 of the ramp"),
    Option("lambda_max", Number(0, 1000), "full weight of smoothness"),
    Option("separation_weight", Number(0, 1000), "of separation, relative to smoothness"),
    Option("lds_eps", Number(0, 1e6, above=True), "norm of the perturbation, of a patch of the extents of lds_patch"),
    Option(
        "lds_patch",
        Optional(EXTENTS),
        "other patches get the same perturbation per voxel, 0.01 in root mean square; null: the same norm",
    ),
    Option(
        "lds_crop",
        Optional(EXTENTS),
        "of a random sub-patch to which smoothness keeps, so much cheaper; null: the whole patch",
    ),
    Option("row_limit", COUNT, "voxels per class and stream that enter separation, drawn at random; 0: all"),
    Option("feature_tap", Choice("post_dropout", "pre_dropout"), "decoder feature for separation; or pre_dropout"),
    Option(
        "supervised_dice",
        Choice("linear", "squared", "squared_multiclass"),
        "of the supervised Dice; squared_multiclass in the published 2D code",
    ),
    Option(
        "lds",
        Mapping(
            Option("enabled", Boolean(), "switch of the term"),
            Option(
                "divergence",
                Choice("dice_per_class", "dice_global", "dice_squared", "kl"),
                "(paper); dice_global and dice_squared are the published 3D and 2D code; or kl",
            ),
            Option("xi", Number(0, 1e6, above=True), "probing step"),
            Option("eps", Number(0, 1e6, above=True), "norm of the perturbation"),
            Option("patch", Optional(EXTENTS), "extents of the patch whose norms xi and eps are"),
            Option("ip", Integer(1, 100), "power iterations"),
            Option("clean_target", Choice("recompute", "reuse_main"), "own clean pass; reuse_main saves one"),
            Option("crop", Optional(EXTENTS), "extents of a random sub-patch to which it keeps"),
            Option("dropout", Choice("independent", "shared", "off"), "masks of clean and perturbed pass; shared, off"),
            Option(
                "direction",
                Choice("own_pass", "main_pass"),
                "of the perturbation; main_pass takes it from the main pass, which saves one: needs reuse_main",
            ),
            component=True,
        ),
        "local distributional smoothness",
    ),
    Option(
        "separation",
        Mapping(
            Option("enabled", Boolean(), "switch of the term"),
            Option("dim", Integer(1, 4096), "of the features that are compared"),
            Option("k", Integer(1, 4096), "prototypes per class"),
            Option("rank", Choice("top", "bottom"), "K best candidates (paper); bottom is the published code"),
            Option("memory_attention", Boolean(), "weigh prototypes (paper); off in the published code"),
            Option(
                "memory_input",
                Choice("raw", "normalized"),
                "prototypes as their selector sees them; normalized in the published code",
            ),
            Option("rows", Choice("foreground", "all"), "voxels that pass the heads; all is the published code"),
            component=True,
        ),
        "of classes in feature space",
    ),
)


def fitting_crop(values: dict[str, object]) -> None:
    """``InputError`` for a sub-patch that the network cannot take."""
    crop, patch = values.get("lds_crop"), values.get("patch_size")
    if crop is None or not isinstance(patch, list):
        return
    if len(crop) != len(patch) or any(side % PATCH_MULTIPLE or side > most for side, most in zip(crop, patch)):
        raise InputError(
            f"--lds_crop {crop}: expected one extent for each of patch_size {patch}, a multiple of {PATCH_MULTIPLE} "
            "and no larger"
        )


RULES = (fitting_crop,)
