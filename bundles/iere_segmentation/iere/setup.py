"""From options to what IERE trains: sizes, stages, and SAM as a second teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import Dataset

from .pretrained import load_pretrained

if TYPE_CHECKING:
    from .sam import SamTeacher

STRIDE = 32  # of the network, which pads other sizes
WINDOW = 28  # the published window is 224 of 256 pixels: 28 per 32
PRETRAINING = 1 / 1.63  # share of the iterations: 1000 of 1630
PROMPTS = ("groups", "box_pad", "components", "smallest")
OPTIONS = (
    *(
        "finetune",
        "finetune_params",
        "lora_rank",
        "last_blocks",
        "batch",
        "use",
        "quality",
        "view",
        "box_from",
        "empty",
        "reject",
    ),
    "cache",
)


def input_sizes(patch_size: Sequence[int], image_size: Sequence[int] | None = None) -> dict[str, list[int]]:
    """Extents of the windows that train (``input``), and of the slices they are cut of (``image``)."""
    windows = [STRIDE * max(round(side / STRIDE), 1) for side in patch_size]
    return {"input": windows, "image": list(image_size or [STRIDE * round(side / WINDOW) for side in windows])}


def pretrain_steps(steps: int | None, iterations: int, stretch: float = 1.0) -> int:
    """Iterations of pretraining; ``None``: 1000 of each 1630. ``stretch``: of a run that was given another length."""
    return round((round(PRETRAINING * iterations) if steps is None else steps) * stretch)


def initialised(network: nn.Module, init: str | None = None) -> nn.Module:
    """The network with weights of the file ``init``, if one is given; see ``load_pretrained``."""
    if init is not None:
        load_pretrained(network, init)
    return network


def make_sam_teacher(
    sam: Mapping, er: Mapping, num_classes: int, datasets: Sequence[Dataset], cache_dir: str
) -> SamTeacher | None:
    """SAM as the external regularizer wants it; ``None`` where nothing does, or no image is unlabeled.

    Args:
        sam: options ``sam`` of the bundle.
        er: options ``er``.
        num_classes: background included.
        datasets: labeled and unlabeled cases.
        cache_dir: of embeddings on disk.
    """
    if sam["kind"] == "none" or not er["enabled"] or er["substitute"] != "none" or not len(datasets[1]):
        return None
    from common.sam import BoxRefiner, build_sam  # inference and runs without SAM load none of it

    from .sam import SamOptions, SamTeacher

    network = build_sam(
        arch=sam["kind"], img_size=sam["img_size"], checkpoint=sam["checkpoint"], recompute=sam["recompute"]
    )
    refiner = BoxRefiner(network, num_classes, sam["convention"], **{name: sam[name] for name in PROMPTS})
    options = SamOptions(**{name: sam[name] for name in OPTIONS}, cache_dir=cache_dir)
    return SamTeacher(refiner, sam["checkpoint"], datasets, options)


def make_optimizers(staged: Optimizer, sam_teacher: SamTeacher | None, sam: Mapping) -> list[Optimizer]:
    """The network's optimizer and, where SAM is tuned, AdamW with decay 0.01 for what learns of it."""
    if sam_teacher is None or sam["finetune"] == "none":
        return [staged]
    learns = [p for p in sam_teacher.parameters() if p.requires_grad]
    return [staged, torch.optim.AdamW(learns, lr=sam["learning_rate"], weight_decay=0.01)]
