"""Options of IERE alone, or that say something else here than elsewhere."""

from __future__ import annotations

from collections.abc import Mapping as Values

from common.errors import InputError
from common.options.containers import Mapping, Optional, Sequence
from common.options.rules import mixed_halves
from common.options.sam import ENCODERS, LAST_BLOCKS, RECOMPUTE, WEIGHTS
from common.options.table import COUNT, DECAY, RANGE, SHARE, SIZE
from common.options.types import FAR, Boolean, Choice, Integer, Number, Option, Path, Template, Text

ENABLED = Option("enabled", Boolean(), "switch of the term")
WEIGHT = Option("weight", Number(0, 1000), "of the term")
RATE = Option("learning_rate", Number(0, 10, above=True), "of Adam")
OPTIONS = (
    Option("dataset_dir", Path("folder", read=True), "folder of the data set, see layout"),
    Option("source", Optional(Text()), "the domain to train on; may be left out where there is only one"),
    Option("targets", Optional(Sequence(Text())), "the unseen domains to test on; null: all others"),
    Option(
        "ratios",
        Optional(
            Mapping(
                Option("labeled", SHARE, "of the training patients"),
                Option("unlabeled", SHARE, "of the training patients"),
                Option("validation", SHARE, "of the rest"),
            )
        ),
        "of source patients, validation of the rest; null: lists",
    ),
    Option("labeled", Optional(Integer(1, FAR)), "label so many of the source's patients instead"),
    Option("validation", Optional(Integer(0, FAR)), "hold out so many of its training patients instead"),
    Option("group", Optional(Template()), "template of names such as {patient}_*: the patients of a domain"),
    Option("in_channels", Integer(1, 64), "3 for color"),
    Option(
        "intensity",
        Choice("unit", "byte", "zscore", "none"),
        "images in [0, 1]; byte: in [0, 255] (published code); zscore, none",
    ),
    Option(
        "intensity_range",
        Optional(RANGE),
        "stored values that become the ends of it; null: percentiles 0.5 and 99.5 of each file",
    ),
    Option(
        "patch_size",
        Sequence(SIZE, 2, one_for_all=True),
        "random windows are resized to it",
    ),
    Option(
        "image_size",
        Optional(Sequence(SIZE, 2)),
        "slices are resized to it, in training and inference; null: 8/7 of the patch, in multiples of 32",
    ),
    Option(
        "empty_policy",
        Choice("official", "penalised", "nan", "distance_100"),
        "an empty mask scores 0, or 1 if it should be empty, and no distance; see common.metrics",
    ),
    Option("stacked", Boolean(), "slices of a patient are measured as one volume"),
    Option("labeled_batch", Integer(2, 4096), "labeled images per step, an even number"),
    Option(
        "unlabeled_batch",
        Integer(0, 4096),
        "unlabeled images per step: as many, or 0 for supervised training",
    ),
    Option("iterations", Integer(1, FAR), "the only clock; pretraining is part of it"),
    Option("learning_rate", Number(0, 10, above=True), "of the student stage"),
    Option("backbone", Choice("resnet50", "resnet34", "resnet18"), "of the encoder; resnet34, resnet18"),
    Option("base_channels", Integer(4, 1024), "of the encoder's first level"),
    Option(
        "init",
        Optional(Path("file", read=True)),
        "file with weights of the encoder (torchvision, timm, BYOL) or of the network",
    ),
    Option(
        "pretrained",
        Optional(Path("file", read=True)),
        "file pretrained.pt of an earlier run: network, teacher and tuned SAM",
    ),
    Option(
        "pretrain",
        Mapping(
            Option(
                "steps",
                Optional(COUNT),
                "iterations on labeled images alone; null: 1000 of each 1630; 0 with pretrained",
            ),
            Option(
                "batch",
                Optional(Integer(2, 4096)),
                "labeled images per iteration of it; 30 in the published code; null: labeled_batch",
            ),
            RATE,
            Option("warm_up", COUNT, "iterations"),
        ),
        "of network and teacher, and of SAM",
    ),
    Option(
        "restart_period",
        Integer(1, FAR),
        "iterations of the first cosine of the student stage; each next takes twice as many",
    ),
    Option(
        "teacher",
        Choice("shared_head", "ema", "fixed"),
        "a second head on the trunk; ema, fixed: a copy of the network",
    ),
    Option("ema_decay", DECAY, "of the teacher ema"),
    Option(
        "ties",
        Choice("background", "foreground"),
        "what a pixel of equal probabilities is; foreground in the published code",
    ),
    Option("cc_filter", Choice("largest", "none"), "component of each class of a pseudo-label; none"),
    Option(
        "bn_groups",
        Choice("official", "joint"),
        "batch-norm statistics of each half of a batch; joint: of both",
    ),
    Option(
        "bcp",
        Mapping(
            Option("alpha", Number(0, 1000), "weight of pseudo-labeled regions"),
            Option("mask_ratio", Number(0, 1, above=True, below=True), "side of the pasted square"),
            Option("per_sample", Boolean(), "a square for each sample instead of one per step"),
            Option(
                "last_place",
                Boolean(),
                "the square may reach the last row and column; never in the published code",
            ),
        ),
        "copy-paste in both directions",
    ),
    Option(
        "extra_unlabeled",
        Number(0, 1000),
        "weight of the student's cross-entropy on unlabeled images with the teacher's labels",
    ),
    Option(
        "regularizer_ramp",
        COUNT,
        "iterations of the student stage until both regularizers have their full weight (paper: at once)",
    ),
    Option(
        "ir",
        Mapping(
            ENABLED,
            Option("mode", Choice("paper", "code", "spa", "abs"), "signed softmax variance; code, spa, abs"),
            Option("weight", Number(0, 1000), "below 1, see iere.InternalRegularizer"),
            Option("normalize", Boolean(), "variance by its maximum"),
        ),
        "internal regularizer",
    ),
    Option(
        "er",
        Mapping(
            ENABLED,
            WEIGHT,
            Option("substitute", Choice("none", "l1", "l2"), "l1, l2: norms of the weights in its place"),
        ),
        "external regularizer",
    ),
    Option(
        "sam",
        Mapping(
            Option("kind", Choice(*ENCODERS, "none"), "none: no external regularizer, no checkpoint"),
            Option("checkpoint", WEIGHTS, "weights of SAM or MedSAM; litemedsam: those of a package"),
            Option("img_size", Integer(16, 2048), "its input"),
            Option(
                "convention",
                Choice("medsam", "sam", "litemedsam", "unit"),
                "of its input; sam (needs intensity byte), unit",
            ),
            Option(
                "finetune",
                Choice("pre", "joint", "none"),
                "on the labeled images, in the iterations of pretraining; joint: to the end; none",
            ),
            Option("finetune_params", Choice("lora_decoder", "decoder", "full", "none"), "decoder, full"),
            Option("lora_rank", Integer(1, 256), "of the additions to the encoder"),
            LAST_BLOCKS,
            RECOMPUTE,
            Option("batch", Optional(Integer(1, 4096)), "labeled slices per iteration that tune it; null: all"),
            RATE,
            Option(
                "groups",
                Optional(Sequence(Sequence(Integer(1, 254)))),
                "classes prompted together, [[2, 3], [3]]; null: each by itself",
            ),
            Option("box_pad", Number(0, 1), "outward shift of boxes, share of the input"),
            Option(
                "view",
                Choice("slice", "crop"),
                "what SAM sees: the slice, whose embedding is kept; crop: the augmented crop (published code)",
            ),
            Option(
                "box_from",
                Choice("filtered", "raw", "upsampled", "soft"),
                "by components; raw; upsampled: raw at SAM's size (published code); soft: mean over probabilities",
            ),
            Option("components", Integer(0, 64), "boxes per class, of its largest components; 0: one around all"),
            Option("smallest", Integer(1, FAR), "pixels of a class or component that is prompted"),
            Option(
                "use",
                Choice("always", "measured"),
                "its labels; measured: of a class in an image, where expected to be better than the teacher's",
            ),
            Option("quality", SHARE, "least IoU that it expects of a mask that is used then"),
            Option(
                "report", COUNT, "images of a list whose truth tells how good its labels are: sam_labels.csv; 0: none"
            ),
            Option(
                "empty",
                Choice("teacher", "full_box", "ignore"),
                "label where the teacher sees nothing: none; full_box: of the whole image; ignore",
            ),
            Option("reject", Boolean(), "take the teacher's label where SAM's is far from it"),
            Option(
                "cache",
                Choice("ram", "disk", "off"),
                "embeddings of slices; disk (finetune none, or of the decoder), off",
            ),
        ),
        "teaches what its boxes enclose",
    ),
    Option("rot90", Boolean(), "quarter turns in the augmentation"),
)


def even_pretraining(values: Values) -> None:
    """Pretraining mixes the halves of its own batches; the network's levels split their channels by four."""
    batch = values.get("pretrain", {}).get("batch")
    if isinstance(batch, int) and batch % 2:
        raise InputError(f"--pretrain#batch {batch}: expected an even number; the halves of a batch are mixed")
    if values.get("base_channels", 4) % 4:
        raise InputError(f"--base_channels {values['base_channels']}: expected a multiple of 4")


RULES = (mixed_halves, even_pretraining)
