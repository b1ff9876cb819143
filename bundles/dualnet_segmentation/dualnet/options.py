"""Options of DualNet alone."""

from __future__ import annotations

from common.options.containers import Mapping, Optional
from common.options.table import COUNT
from common.options.types import Boolean, Choice, Integer, Number, Option

PATCH_MULTIPLE = 16  # both V-Nets and the U-Nets halve the extents four times
ENABLED = Option("enabled", Boolean(), "switch of the term")
CONFIDENCE = Number(0, 1, below=True)
PERCENTILE = Number(0, 100)
RULE = Choice("nearest", "linear")
OPTIONS = (
    Option("base_channels", Integer(1, 1024), "of the first level of both networks"),
    Option(
        "symmetries",
        Choice("none", "full", "reflections", "mirrors"),
        "of the plane, as published; full; reflections: the four of other published code; mirrors: no quarter turns",
    ),
    Option(
        "alpha",
        PERCENTILE,
        "percentile of the entropies below which voxels count (70 LA, 80 pancreas, 30 BraTS)",
    ),
    Option("percentile", RULE, "its rule: nearest rank; linear between two ranks (published code)"),
    Option("beta", Number(0, 1000), "weight of cr per network"),
    Option("tau", CONFIDENCE, "confidence of cr and cps"),
    Option("temperature", Number(0, 100, above=True), "sharpening of ue"),
    Option("lambda_max", Number(0, 1000), "weight of pgl after ramp-up"),
    Option("ramp_start", COUNT, "iteration that counts as step 0 of the ramp (1 in the published code)"),
    Option("lr_delay", COUNT, "iterations by which all of these come later (1 in the published code)"),
    Option(
        "init",
        Choice("kaiming_normal", "kaiming_weights", "torch_default"),
        "of both networks' weights, biases 0; kaiming_weights: biases as torch draws them (published code)",
    ),
    Option(
        "warm_up",
        COUNT,
        "iterations until cps, efs and ue have their full weight; none in the paper, whose runs are long",
    ),
    Option(
        "feature_tap",
        Choice("pre_dropout", "post_dropout"),
        "decoder feature for pgl; post_dropout in the published code",
    ),
    Option(
        "terms",
        Mapping(
            Option(
                "cr",
                Mapping(
                    ENABLED,
                    Option("tau", CONFIDENCE, "confidence"),
                    Option("mask", Choice("xor", "or"), "voxels where one network is wrong, or one at least"),
                    Option("target", Choice("peer", "label"), "of the correction"),
                    Option("distance", Choice("mse", "kl"), "of the softmax maps"),
                ),
                "correction of labeled voxels",
            ),
            Option(
                "cps",
                Mapping(ENABLED, Option("threshold", CONFIDENCE, "confidence")),
                "cross pseudo supervision",
            ),
            Option(
                "efs",
                Mapping(
                    ENABLED,
                    Option("alpha", PERCENTILE, "percentile of the entropies"),
                    Option("percentile", RULE, "rule of the percentile"),
                    Option("limit", Choice("keep", "drop"), "voxels at the percentile; drop in the published code"),
                    Option("target", Choice("union", "peer", "agreement"), "pseudo-label"),
                    Option("norm", Choice("valid_mean", "official"), "mean over valid voxels, or over all"),
                ),
                "entropy-filtered supervision",
            ),
            Option(
                "ue",
                Mapping(
                    ENABLED,
                    Option("temperature", Number(0, 100, above=True), "of sharpening"),
                    Option("target", Choice("soft", "hard"), "of the peer"),
                    Option("direction", Choice("both", "b_to_a"), "which network learns"),
                    Option("scope", Choice("all", "unlabeled"), "images"),
                ),
                "uncertainty weighting",
            ),
            Option(
                "pgl",
                Mapping(
                    ENABLED,
                    Option("alpha", PERCENTILE, "percentile of the entropies"),
                    Option("percentile", RULE, "rule of the percentile"),
                    Option("reliable", Choice("agree_and_low", "not_both_high"), "voxels that make prototypes"),
                    Option("proto_term", Choice("plus", "none", "margin"), "distance between the prototypes"),
                    Option(
                        "nets",
                        Choice("both", "loser", "loser_by_dice"),
                        "networks that learn; loser_by_dice in the published code",
                    ),
                ),
                "prototypes",
            ),
            Option(
                "cosine",
                Mapping(ENABLED),
                "1 - cosine of both softmax vectors, of all voxels (published code alone)",
            ),
        ),
        "switches and choices of each term, see dualnet",
    ),
    Option(
        "uncertainty",
        Optional(Choice("entropy", "disagreement")),
        "second map, 0 certain to 1: entropy or disagreement of the networks",
        "inference",
    ),
    Option("member", Optional(Choice(0, 1)), "0 or 1: one of the two networks alone instead of their mean"),
)
