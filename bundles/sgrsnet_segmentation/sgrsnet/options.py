"""Options of SGRS-Net alone."""

from __future__ import annotations

from common.options.containers import Mapping
from common.options.table import COUNT
from common.options.types import Boolean, Choice, Number, Option

PATCH_MULTIPLE = 16  # the V-Net and the U-Net halve the extents four times
LOSS = Choice("con", "nr", "none")
OPTIONS = (
    Option(
        "supervised_dice",
        Choice("classwise", "joint"),
        "mean of the classes' Dice (published code); joint: of all classes at once (paper)",
    ),
    Option("supervised_dice_factor", Number(0, 2), "of the overlap; the published code lacks it: 1.0"),
    Option("supervised_dice_weight", Number(0, 1000), "published code; 1.0 in the paper"),
    Option("supervised_ce_weight", Number(0, 1000), "of cross-entropy beside it; likewise"),
    Option("ramp_up", COUNT, "iterations until the regional loss has its full weight"),
    Option("ramp_start", COUNT, "iteration that counts as step 0 of the ramp (1 in the published code)"),
    Option("mixup_alpha", Number(0, 100), "Beta parameter of the mixture; 0: no mixing, no regions"),
    Option(
        "mixup_draws",
        Choice(1, 2),
        "of it per mixture (published code): the image keeps the larger share; 2, as the formula reads (paper)",
    ),
    Option("noise_std", Number(0, 100), "of the noise, clamped to twice that"),
    Option(
        "tau_nats",
        Number(0, 6),
        "entropy of p = 0.425, above which a voxel is uncertain (two classes; scaled for more)",
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
    Option(
        "region_dice",
        Choice("regionwise", "joint"),
        "per sample and class (published code); joint: over samples and classes at once (paper)",
    ),
    Option(
        "uncertain_agreement",
        Boolean(),
        "cross-entropy of uncertain voxels where both views agree (published code)",
    ),
    Option("ema_double", Boolean(), "a second average before the first (published code)"),
    Option(
        "extra_decay",
        Number(0, 1, below=True),
        "share of every student tensor removed per iteration (published code: 2e-4)",
    ),
)
