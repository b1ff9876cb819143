"""Options of SGRS-Net alone."""

from __future__ import annotations

from common.options.containers import Mapping
from common.options.table import COUNT
from common.options.types import Boolean, Choice, Number, Option

PATCH_MULTIPLE = 16  # the V-Net and the U-Net halve the extents four times
LOSS = Choice("con", "nr", "none")
OPTIONS = (
    Option(
        "supervised_dice_weight",
        Number(0, 1000),
        "beside 0.5 of cross-entropy; the published code lacks a factor of 2 and gets 0.25",
    ),
    Option("ramp_up", COUNT, "iterations until the regional loss has its full weight"),
    Option("mixup_alpha", Number(0, 100), "Beta parameter of the mixture; 0: no mixing, no regions"),
    Option("noise_std", Number(0, 100), "of the noise, clamped to twice that"),
    Option(
        "tau_nats",
        Number(0, 6),
        "entropy above which a voxel is uncertain (two classes; scaled for more)",
    ),
    Option(
        "delta_rule",
        Choice("intersection", "union", "u_only"),
        "uncertain in both views (paper); union (published code), u_only",
    ),
    Option(
        "regions",
        Mapping(
            Option("omega", LOSS, "certain in both views"),
            Option("theta", LOSS, "uncertain in one"),
            Option("delta", LOSS, "uncertain in both"),
        ),
        "loss of each region: con, nr or none",
    ),
    Option("eps", Number(0, 1, below=True), "label smoothing of nr"),
    Option("eta", Number(0, 1e6), "Dice smoothing of nr"),
    Option("reduction", Choice("mean", "sum"), "of views and kinds (published code); sum (paper)"),
    Option("ema_double", Boolean(), "a second average before the first (published code)"),
    Option(
        "extra_decay",
        Number(0, 1, below=True),
        "share of every student tensor removed per iteration (published code: 2e-4)",
    ),
)
