"""Options of Mean Teacher alone."""

from __future__ import annotations

from common.options.containers import Either, Mapping, Optional
from common.options.types import Boolean, Choice, Integer, Number, Option, Reference

PATCH_MULTIPLE = 16  # the V-Net and the U-Net halve the extents four times
OPTIONS = (
    Option("consistency", Boolean(), "false: supervised only, on labeled_batch patches per step"),
    Option("target", Choice("hard", "soft"), "the teacher's classes; soft: its softmax map"),
    Option("mixup_alpha", Number(0, 100), "of the student's view of an unlabeled image; 0: no mixing"),
    Option("consistency_weight", Number(0, 1000), "after ramp-up"),
    Option(
        "uncertainty",
        Optional(
            Mapping(
                Option("passes", Integer(2, 1000), "noisy passes of the teacher, an even number"),
                Option("threshold", Either(Number(0, 1), Mapping(component=True)), "share of ln(classes)"),
            )
        ),
        "UA-MT's mask, see uamt.yaml",
        "train",
    ),
    Option("deployed", Reference("network", "teacher"), 'what is validated and saved; or "@teacher"'),
)
