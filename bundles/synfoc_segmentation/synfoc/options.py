"""Options of SynFoC alone, or that say something else here than elsewhere."""

from __future__ import annotations

from collections.abc import Mapping as Values

from common.errors import InputError
from common.options.containers import Either, Mapping, Named, Optional, Sequence
from common.options.sam import ENCODERS, LAST_BLOCKS, RECOMPUTE, WEIGHTS
from common.options.table import DECAY, RANGE, SHARE, SIZE
from common.options.types import FAR, Boolean, Choice, Integer, Number, Option, Path, Template, Text

FACTORS = Sequence(Number(0, 100), 2, order="<=")
NEAREST = ("nearest", "nearest_floor", "nearest_corners")
RESAMPLES = ("antialias", *NEAREST, "pillow_linear", "pillow_lanczos")
OPTIMIZER = Choice("sgd", "adamw")
STRENGTH = Number(0, 1000)
OPTIONS = (
    Option("dataset_dir", Path("folder", read=True), "folder of the data set, see layout"),
    Option("labeled_domain", Optional(Text()), "the domain of the labeled images"),
    Option(
        "labeled",
        Optional(Integer(1, FAR)),
        "label so many of its images (patients, where known), the first by name; null: all",
    ),
    Option(
        "validation",
        Optional(Integer(0, FAR)),
        "hold out the last N training images of each domain; null takes the layout's list",
    ),
    Option("group", Optional(Template()), "template of names such as {patient}_*: the patients of a domain"),
    Option(
        "by_patient",
        Optional(Boolean()),
        "count patients instead of images; null: where all patients are known",
    ),
    Option(
        "parts",
        Optional(Named(Sequence(Integer(1, 254)), key=Text())),
        "nested parts to compare and measure, {name: classes}; null: every class by itself",
    ),
    Option("in_channels", Integer(1, 64), "3 for color"),
    Option(
        "intensity_range",
        Optional(RANGE),
        "stored values that become 0 and 1; null: the ends of each image",
    ),
    Option(
        "patch_size",
        Sequence(SIZE, 2, one_for_all=True),
        "input of the U-Net, P x P",
    ),
    Option(
        "unlabeled_batch",
        Integer(0, 4096),
        "unlabeled images per step: as many, or 0 for supervised training",
    ),
    Option("learning_rate", Number(0, 10, above=True), "of the U-Net, at the start"),
    Option("learning_rate_sam", Number(0, 10, above=True), "of the foundation network, at the start"),
    Option(
        "schedule",
        Choice("constant", "poly"),
        "of both rates: constant, or poly, to 0 at the end of the run",
    ),
    Option("max_grad_norm", Optional(Number(0, above=True)), "clip gradients to this norm, network by network"),
    Option("labeled_batch", Integer(1, 4096), "labeled images per step"),
    Option("base_channels", Integer(1, 1024), "of the U-Net's first level"),
    Option(
        "networks",
        Choice("both", "unet_only", "sam_only"),
        "unet_only and sam_only train one network with its own teacher",
    ),
    Option(
        "deploy",
        Choice("auto", "sam", "unet"),
        "the network that is validated and saved: sam or unet; auto: the SAM where there is one",
    ),
    Option(
        "deploy_teacher",
        Either(Boolean(), Choice("unet")),
        "its moving average instead, with statistics of weak images of all domains; unet: of a U-Net",
    ),
    Option(
        "sam",
        Mapping(
            Option("kind", Choice("sam", "none"), "none: a second U-Net instead, which needs no checkpoint"),
            Option("arch", Choice(*ENCODERS), "of the image encoder"),
            Option("checkpoint", WEIGHTS, "SAM's or MedSAM's published weights; litemedsam: those of a package"),
            Option("img_size", Integer(16, 2048), "its input, S x S; 448 is a third cheaper"),
            Option("preprocess", Choice("sam", "medsam", "litemedsam", "unit"), "images stay in [0, 1]"),
            Option(
                "decoder_init",
                Choice("match_shapes", "reinit", "expand"),
                "what the decoder takes from the checkpoint where classes differ",
            ),
            Option("lora_rank", Integer(0, 256), "of the additions to the encoder"),
            Option(
                "lora_targets",
                Sequence(Choice("q", "k", "v", "proj", "mlp", "decoder")),
                "what they are added to",
            ),
            Option("train", Choice("lora", "lora_only", "decoder", "full"), "with the decoder; decoder, full"),
            Option(
                "train_prompt",
                Boolean(),
                "and the embedding that says that there is no prompt; the paper does not name it",
            ),
            LAST_BLOCKS,
            RECOMPUTE,
            Option(
                "batch",
                Optional(Integer(1, 4096)),
                "labeled, and as many unlabeled, images per step that it learns from; null: all",
            ),
        ),
        "the foundation network",
    ),
    Option(
        "smc",
        Mapping(
            Option(
                "mode",
                Choice("smc", "self", "mutual", "constant", "linear", "cps"),
                "self, mutual, constant, linear, cps",
            ),
            Option("value", SHARE, "of constant"),
        ),
        "weight of the U-Net in the pseudo-label",
    ),
    Option(
        "cdcr",
        Choice("cdcr", "cr", "consensus", "divergence", "none"),
        "consensus-divergence term: cdcr, cr, consensus, divergence, none",
    ),
    Option("consensus_half", Boolean(), "halve the consensus loss (published code)"),
    Option("tau", DECAY, "confidence of supervised pixels"),
    Option("tau_inclusive", Boolean(), "at least tau; above it in the published code"),
    Option("mask_background", Boolean(), "of the Dice on pseudo-labels; not masked in the published code"),
    Option(
        "update_statistics",
        Boolean(),
        "batch-norm statistics from the extra weak pass of the U-Net (published code: true)",
    ),
    Option(
        "joint_batch",
        Either(Choice("auto"), Sequence(Choice("unet", "sam"), empty=True)),
        "networks that see labeled and mixed images in one pass; auto: a SAM",
    ),
    Option("dice_eps", Number(0, 1, above=True), "smoothing of the Dice losses; 1e-10 in the published code"),
    Option(
        "sample_resample",
        Choice(*RESAMPLES),
        "of files to the size of a batch; other than this, in inference too",
    ),
    Option(
        "resample",
        Choice(*RESAMPLES),
        "of images to a network's size; nearest_corners in the published code",
    ),
    Option(
        "resample_labels",
        Choice(*NEAREST),
        "of labels to the size of logits; nearest_corners in the published code",
    ),
    Option(
        "resample_maps",
        Choice(*NEAREST),
        "of the step's maps and boxes; nearest_floor in the published code",
    ),
    Option(
        "metric_size",
        Optional(Sequence(SIZE, 2)),
        "compare masks at this size; published code: patch_size; null: the image's own",
    ),
    Option(
        "published_resample",
        Choice(*RESAMPLES),
        "of files of this data set in the published code, see sample_resample",
    ),
    Option(
        "wide_end",
        Boolean(),
        "the U-Net's last upsampling keeps all channels; halves them in the published code",
    ),
    Option(
        "selection",
        Choice("dice", "smoothed_dice"),
        "score of the best weights: dice, where the label is not empty; smoothed_dice (published code)",
    ),
    Option("unsupervised_weight", STRENGTH, "of the four unsupervised terms after ramp-up"),
    Option("ramp_exponent", Number(0, 10, above=True), "of the ramp; printed without the square"),
    Option(
        "strong",
        Mapping(
            Option("brightness", FACTORS, "factors"),
            Option("contrast", FACTORS, "factors"),
            Option("sigma", Sequence(Number(0, 100, above=True), 2, order="<="), "of the blur, in pixels"),
        ),
        "sigma in pixels",
    ),
    Option(
        "box",
        Mapping(
            Option("share", Sequence(Number(0, 0.9, above=True), 2, order="<="), "of the image"),
            Option("aspect", Sequence(Number(0, 100, above=True), 2, order="<="), "range around 1"),
        ),
        "pasted rectangle",
    ),
    Option("copy_paste", Boolean(), "paste rectangles of labeled images into unlabeled ones"),
    Option("ema_decay", DECAY, "of the teachers"),
    Option(
        "empty_policy",
        Choice("official", "penalised", "nan", "distance_100"),
        "an empty mask scores 0, or 1 if it should be empty, and no distance; published code: distance_100",
    ),
    Option(
        "optimizers_of",
        Mapping(Option("unet", OPTIMIZER, "of the U-Net"), Option("sam", OPTIMIZER, "of the foundation network")),
        "of both networks",
    ),
)


def equal_batches(values: Values) -> None:
    """Images are pasted in pairs."""
    labeled, unlabeled = values.get("labeled_batch"), values.get("unlabeled_batch")
    if labeled and unlabeled and labeled != unlabeled:
        raise InputError(f"--unlabeled_batch {unlabeled}: expected as many as labeled_batch, {labeled}, or 0")


RULES = (equal_batches,)
