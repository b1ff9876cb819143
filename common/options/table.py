"""The options that several bundles share, and how to find all those of one bundle.

A bundle's package has its own in ``options.py``, as ``OPTIONS``; one of the same name there goes before the shared one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path as FilePath
from types import ModuleType

from ..errors import InputError
from .containers import Either, Named, Optional, Sequence
from .rules import FAST
from .types import FAR, Boolean, Choice, Device, Integer, Number, Option, Path, Precision, Template, Text

WIDEST = 2048  # voxels of a patch along an axis
SIZE = Integer(1, WIDEST)
MILLIMETERS = Number(0.01, 100)
SHARE = Number(0, 1)
DECAY = Number(0, 1, below=True)
COUNT = Integer(0, FAR)
RANGE = Sequence(Number(), 2, order="<")
EXTENTS = Sequence(SIZE, 2, 3, one_for_all=True)
STEPS = Either(Choice(FAST), EXTENTS)
LAYOUTS = (
    *("prostate", "mnms", "fundus", "busi", "domain_lists", "acdc_slices", "acdc_groups", "mscmr", "manifest"),
    "lists",
)
ENCODINGS = ("index", "binary", "prostate", "fundus", "mnms", "mscmr")

SHARED = (
    # where
    Option("bundle_root", Path("folder"), "the bundle's folder"),
    Option("dataset_dir", Path("folder", read=True), "folder with images/, labels/ and splits.json"),
    Option("dataset_dir", Path("folder", read=True), "folder with images/", base="inference"),
    Option("output_dir", Path("folder"), "of the run: weights, settings, record, history, resume state", base="train"),
    Option("output_dir", Path("folder"), "of the segmentations", base="inference"),
    Option(
        "output_dir", Path("folder"), "receives [<statistics>/]<split>/metrics.csv and summary.json", base="evaluate"
    ),
    Option("ckpt_dir", Path("folder"), "of the weights, their settings and record"),
    Option("studies", Text(empty=True), "MONAI Label's folder: what has no label in it is unlabeled"),
    Option("device", Device(), "the GPU where there is one"),
    Option(
        "cache_device",
        Either(Choice("disk"), Device()),
        "where decoded images live: memory (cpu), a CUDA device if they fit, or a disk",
    ),
    Option(
        "inputs",
        Either(Sequence(Path(read=True)), Path(read=True)),
        "an image, the folder of a DICOM series, a folder of either, or a list",
    ),
    Option("checkpoint", Path(read=True), "the folder of a run, or weights in one"),
    Option(
        "layers",
        Sequence(Path("file", read=True), empty=True),
        "configuration files that weights without settings were trained with",
    ),
    # data
    Option(
        "labeled",
        Optional(Integer(1, FAR)),
        "label so many cases, the first of the list; null takes the list 'labeled' of splits.json",
    ),
    Option(
        "validation",
        Optional(Integer(0, FAR)),
        "hold out the last N training cases; null takes the list of splits.json",
    ),
    Option(
        "group",
        Optional(Template()),
        "template of names such as {patient}_*, to count and split by patient",
    ),
    Option(
        "splits",
        Optional(Text()),
        "file of lists in the folder, such as tools draw writes; null: splits.json or the layout's own",
    ),
    Option(
        "label_grid",
        Choice("refuse", "resample"),
        "a label on another grid than its image; or resample it to that of the image",
    ),
    Option("num_classes", Integer(2, 255), "background included"),
    Option("in_channels", Integer(1, 64), "of the images"),
    Option(
        "spacing",
        Optional(Sequence(Optional(MILLIMETERS), 3, one_for_all=True)),
        "resample to this voxel size in mm, null: the file's",
    ),
    Option("window", Optional(RANGE), "map this range of intensities to 0..1 and clip, in HU for CT"),
    Option("layout", Choice(*LAYOUTS), "where files and splits are, see common.datasets.LAYOUTS"),
    Option(
        "encoding",
        Either(Choice(*ENCODINGS), Named(Integer(0, 254), key=Integer())),
        "how masks are stored, see common.data.ENCODINGS",
    ),
    Option(
        "orientation",
        Optional(Text("(?=.*[LR])(?=.*[PA])(?=.*[IS])...", "three letters, one of L and R, of P and A, of I and S")),
        "turn volumes to these axes before they are split along the last, e.g. RAS; null: as stored",
    ),
    # what the networks see
    Option("normalize", Boolean(), "z-score each volume; the LA benchmark's files are normalized already"),
    Option("slices", Boolean(), "2D: split volumes along the last axis"),
    Option(
        "patch_size",
        EXTENTS,
        "voxels; two extents: whole slices are resized to it and a 2D network is trained",
    ),
    Option(
        "slice_fit",
        Choice("resize", "patch"),
        "of slices: resize to patch_size; patch: keep their pixels, pad small ones, cut large ones",
    ),
    Option("stride", STEPS, "of validation windows during training; or fast", base="train"),
    Option(
        "stride",
        STEPS,
        "of the sliding window; or fast: few windows, spread evenly over all axes",
        base="inference",
    ),
    Option("test_stride", STEPS, "of the windows of inference and final evaluation (published protocol); or fast"),
    Option("stride_factor", Number(0.01, 100), "take steps so many times the stride: faster and coarser"),
    Option(
        "symmetries",
        Choice("full", "reflections", "mirrors", "none"),
        "random symmetries of the plane; reflections: the four of published code; mirrors: no quarter turns; none",
    ),
    Option(
        "official_sample",
        Boolean(),
        "patches of published code: padded where not needed, never at the last start",
    ),
    Option("foreground_share", SHARE, "of labeled patches laid around a labeled voxel, classes alike; nnU-Net: 0.33"),
    Option(
        "contrast",
        DECAY,
        "random gain of each patch, up to 1 + and - this, and offset, half of it; for z-scored volumes",
    ),
    Option(
        "recipe",
        Choice("none", "geometry", "appearance", "strong"),
        "more of it: geometry (rotation, scale, bending), appearance (gamma, bias, blur, noise), strong: both; none",
    ),
    Option("labeled_batch", Integer(1, 4096), "labeled samples per step"),
    Option("unlabeled_batch", Integer(0, 4096), "unlabeled samples per step"),
    # methods
    Option(
        "supervised_loss",
        Choice("own", "dice_ce"),
        "of labeled patches: the method's own; or dice_ce, half Dice (squares), half cross-entropy",
    ),
    Option("ramp_up", COUNT, "iterations until then"),
    Option("ramp_quantum", Integer(1, FAR), "hold that weight for so many iterations (150 in the published code)"),
    Option("ema_decay", DECAY, "of the teacher"),
    Option(
        "ema_buffers",
        Choice("own", "copy", "ema"),
        "batch-norm statistics of the teacher: own, copy or ema of the student's",
    ),
    Option("teacher_train_mode", Boolean(), "dropout and batch statistics in the teacher"),
    # training
    Option("seed", Integer(0, 2**32 - 1), "of everything random"),
    Option("iterations", Integer(1, FAR), "the only clock"),
    Option("epoch_length", Integer(1, FAR), "iterations between two log rows and resume points; divides iterations"),
    Option("val_interval", Integer(1, FAR), "epochs between two validations"),
    Option("learning_rate", Number(0, 10, above=True), "at the start"),
    Option(
        "schedule",
        Choice("poly", "step", "constant"),
        "of the rate: poly, to 0 at the end; step, divided by 10 every lr_step; constant",
    ),
    Option("lr_step", Integer(1, FAR), "iterations between two divisions"),
    Option("base_channels", Integer(1, 1024), "of the network's first level"),
    Option(
        "norm",
        Choice("batch", "group", "instance"),
        "of the 2D network: batch, group (8 groups) or instance",
    ),
    Option(
        "pooling",
        Optional(Sequence(Integer(0, 4), 3)),
        "of the 3D network: halvings of each axis, 0 to 4, e.g. [4, 4, 1] for thick slices; null: four of each",
    ),
    Option(
        "amp",
        Precision(),
        "bfloat16 where this machine is faster with it, float16 on older GPUs, else float32",
    ),
    Option("check_every", Integer(1, FAR), "iterations between two checks for NaN; more hides less of a GPU's speed"),
    Option("max_grad_norm", Optional(Number(0, above=True)), "clip gradients to this norm"),
    Option(
        "average_last",
        Number(0, 1),
        "share of the iterations whose weights are averaged into model_average.pt; 0: none",
    ),
    Option("resume", Boolean(), "continue the run in output_dir"),
    Option("overwrite", Boolean(), "replace the run in output_dir", base="train"),
    Option("overwrite", Boolean(), "replace files that output_dir has already", base="inference"),
    Option("progress", Boolean(), "progress bars"),
    Option("tensorboard", Boolean(), "curves and pictures of validation cases in output_dir/tensorboard"),
    # inference and evaluation
    Option("largest_component", Boolean(), "keep only the largest component of each class"),
    Option("uncertainty", Optional(Choice("entropy")), "second map, 0 certain to 1: entropy", base="inference"),
    Option("dicom_seg", Boolean(), "also write a DICOM segmentation for each DICOM series"),
    Option(
        "class_names", Optional(Sequence(Text())), "of the foreground, in the DICOM segmentation; null numbers them"
    ),
    Option("probabilities", Boolean(), "also write those of all classes"),
    Option(
        "statistics",
        Choice("trained", "all", "domain", "case", "unlabeled"),
        "of batch norm: trained; of these images: all, domain, case; unlabeled: of training, by domain",
    ),
    Option("split", Choice("validation", "test"), "which list of the data set: validation or test"),
    Option(
        "empty_policy",
        Choice("official", "penalised", "nan", "distance_100"),
        "scores of an empty mask, see common.metrics",
    ),
    Option(
        "metric_spacing",
        Optional(Sequence(MILLIMETERS, 2, 3, one_for_all=True)),
        "voxel size in mm to measure distances in mm; null measures in voxels",
    ),
    Option(
        "metric_size",
        Optional(Sequence(SIZE, 2)),
        "of pictures: resize masks to this size before measuring; null: the image's own",
    ),
    Option("stacked", Boolean(), "measure the volumes that a patient's slices make up"),
    Option(
        "parts",
        Optional(Named(Sequence(Integer(1, 254)), key=Text())),
        "nested parts to measure; null: every class by itself",
    ),
)


class Table(Mapping):
    """The options of one bundle by name.

    Args:
        options: in the order of precedence; the first of a name and base counts.
        base: ``train``, ``inference`` or ``evaluate``, a layer on inference: the configuration they are asked for.
            Options of the others alone are known too: a layer may be meant for both.
        patch_multiple: what the extents of a patch must be a multiple of, for the bundle's own networks.
        rules: the bundle's own checks of values that depend on each other, functions of all values by name.
    """

    def __init__(self, options: Iterable[Option], base: str = "train", patch_multiple: int = 1, rules=()) -> None:
        self.options: dict[str, Option] = {}
        for option in sorted(options, key=lambda option: _distance(option.base, base)):
            self.options.setdefault(option.name, option)
        self.patch_multiple, self.rules = patch_multiple, tuple(rules)

    def __getitem__(self, name: str) -> Option:
        return self.options[name]

    def __iter__(self):
        return iter(self.options)

    def __len__(self) -> int:
        return len(self.options)


def _distance(base: str, wanted: str) -> int:
    near = ("inference", "") if wanted == "evaluate" else ("",)
    return 0 if base == wanted else near.index(base) + 1 if base in near else len(near) + 1


def table_of(bundle_root: str | FilePath, base: str = "train") -> Table:
    """Options of the bundle in a folder, its own before the shared ones; without such a folder the shared ones."""
    module = own_module(bundle_root)
    if module is None:
        return Table(SHARED, base)
    multiple, rules = getattr(module, "PATCH_MULTIPLE", 1), getattr(module, "RULES", ())
    return Table((*module.OPTIONS, *SHARED), base, multiple, rules)


def own_module(bundle_root: str | FilePath) -> ModuleType | None:
    """``options.py`` of a bundle's package, without the package, whose import takes seconds."""
    files = sorted(FilePath(bundle_root).glob("*/options.py"))
    files = [file for file in files if (file.parent / "__init__.py").is_file()]
    if not files:
        return None
    if len(files) > 1:
        raise InputError(f"{bundle_root}: expected one package with options, found {[f.parent.name for f in files]}")
    spec = spec_from_file_location(f"{files[0].parent.name}.options", files[0])
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
