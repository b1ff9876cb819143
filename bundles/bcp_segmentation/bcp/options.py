"""Options of BCP alone, or that say something else here than elsewhere."""

from __future__ import annotations

from collections.abc import Mapping as Values
from collections.abc import Sequence

from common.errors import InputError
from common.options.containers import Mapping, Optional
from common.options.rules import mixed_halves
from common.options.table import COUNT, DECAY
from common.options.types import FAR, Boolean, Choice, Integer, Number, Option

PATCH_MULTIPLE = 16  # the V-Net and the U-Net halve the extents four times
OPTIONS = (
    Option("labeled_batch", Integer(2, 4096), "labeled samples per step, an even number"),
    Option("unlabeled_batch", Integer(0, 4096), "unlabeled samples per step: as many"),
    Option("pretrain_steps", Optional(COUNT), "iterations on labeled samples alone; null: 3 of each 10"),
    Option(
        "pretrain_loss",
        Choice("composed", "regional"),
        "of the whole mixture; regional: of each part by itself, twice as much (published code, ACDC)",
    ),
    Option(
        "carry_momentum",
        Boolean(),
        "from pretraining into self-training, as in the published code for ACDC",
    ),
    Option("alpha", Number(0, 1000), "weight of pseudo-labeled regions"),
    Option("mixing", Boolean(), "false: images stay whole, the control that copy-paste must beat"),
    Option(
        "box",
        Mapping(
            Option("ratio", Number(0, 1, above=True), "of each side to that of the patch, rounded down"),
            Option("per_sample", Boolean(), "a box for each sample instead of one per step"),
            Option(
                "last_place",
                Boolean(),
                "the box may reach the last voxel of an axis; never in the published code",
            ),
        ),
        "what is pasted",
    ),
    Option(
        "dice",
        Choice("linear", "squared"),
        "per sample; squared: over the batch, squares in the denominator (published code, ACDC)",
    ),
    Option("cc_filter", Choice("largest", "none"), "component of each class of a pseudo-label; none"),
    Option(
        "bn_groups",
        Choice("official", "joint"),
        "batch-norm statistics of each half of a batch; joint: of both",
    ),
    Option("ema_decay", DECAY, "of the teacher, from the first iteration"),
    Option("iterations", Integer(1, FAR), "the only clock; pretraining is part of it"),
    Option("learning_rate", Number(0, 10, above=True), "at the start of both stages"),
    Option(
        "schedule",
        Choice("poly", "step", "constant"),
        "of self-training: poly, to 0 at the end; step, divided by 10 every lr_step; constant",
    ),
)


def several_voxels(values: Values) -> None:
    """Batch norm needs more than one value of each channel, in pretraining too."""
    labeled, extents = values.get("labeled_batch"), values.get("patch_size")
    if labeled == 2 and isinstance(extents, Sequence) and all(extent == PATCH_MULTIPLE for extent in extents):
        raise InputError(
            f"--labeled_batch 2: expected at least 4 with patch_size={list(extents)}; pretraining mixes two samples to "
            "one, of which one voxel is left where batch norm needs several"
        )


RULES = (mixed_halves, several_voxels)
