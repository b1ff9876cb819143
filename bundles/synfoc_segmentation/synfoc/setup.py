"""From options to what SynFoC trains: sizes, optimizers, and the network that is deployed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import Dataset

from common.engines import make_schedule
from common.errors import require_choice
from common.inferers import SliceWiseInferer
from common.transforms import ResizedSlice

OPTIMIZERS = {
    "sgd": lambda parameters, rate: torch.optim.SGD(parameters, lr=rate, momentum=0.9, weight_decay=0.0001),
    "adamw": lambda parameters, rate: torch.optim.AdamW(parameters, lr=rate, weight_decay=0.1),
}


def input_sizes(patch_size: Sequence[int], sam: Mapping) -> dict[str, list[int]]:
    """Extents of the images that each network sees: the patch, and for a SAM its own square."""
    patch = list(patch_size)
    return {"unet": patch, "sam": [sam["img_size"]] * 2 if sam["kind"] == "sam" else patch}


def trained_names(networks: str) -> tuple[str, ...]:
    """Names of the networks that train."""
    return {"both": ("unet", "sam"), "unet_only": ("unet",), "sam_only": ("sam",)}[networks]


def make_sample(
    sizes: Mapping[str, Sequence[int]], networks: str = "both", resample: str = "antialias"
) -> ResizedSlice:
    """Images become as large as the largest input of the networks that train."""
    sides = zip(*(sizes[name] for name in trained_names(networks)))
    return ResizedSlice([max(side) for side in sides], resample=resample)


def make_inferer(
    sizes: Mapping[str, Sequence[int]],
    name: str,
    resample: str = "antialias",
    networks: str = "both",
    sample_resample: str = "antialias",
    output_size: Sequence[int] | None = None,
    amp: bool | str = "auto",
) -> SliceWiseInferer:
    """Inferer of the network ``name``, at the size it was trained at.

    Images are resized to it at once; by another ``sample_resample`` than ``antialias`` to the size of a batch first,
    as in training. ``output_size``: extents of the result, ``None`` for the image's own.
    """
    first = None if sample_resample == "antialias" else make_sample(sizes, networks, sample_resample)
    return SliceWiseInferer(sizes[name], resample=resample, first=first, output_size=output_size, amp=amp)


def deployed_name(deploy: str, networks: str, sam: Mapping) -> str:
    """Name of the network that is validated and saved; ``auto``: the SAM where one trains, else the U-Net."""
    require_choice(deploy=(deploy, ("auto", "unet", "sam")))
    if deploy != "auto":
        return deploy
    return "sam" if "sam" in trained_names(networks) and (sam["kind"] == "sam" or networks == "sam_only") else "unet"


def choose_deployed(
    students: nn.ModuleDict,
    teachers: nn.ModuleDict,
    name: str,
    average: bool | str = False,
    unlabeled: Dataset = (),
    buffers: str = "own",
) -> nn.Module:
    """The student of that name, or its moving average.

    Args:
        students: the trained networks.
        teachers: their averages. With statistics of their ``own`` they see nothing without unlabeled images: then the
            student is taken.
        name: of the network.
        average: take the average; ``unet``: where the U-Net is deployed.
        unlabeled: images that the averages see.
        buffers: statistics of the averages, see ``EMAHandler``.
    """
    require_choice(deploy_teacher=(average, (True, False, "unet")))
    averaged = name == "unet" if average == "unet" else average
    return (teachers if averaged and (len(unlabeled) or buffers != "own") else students)[name]


def parts_to_compare(parts: Mapping[str, Collection[int]] | None, classes: int) -> list[Collection[int]]:
    """Classes of each part that is compared: the named ones, or every class by itself."""
    return list(parts.values()) if parts else [[number] for number in range(1, classes)]


def joint_networks(joint_batch: Sequence[str] | str, sam: Mapping) -> list[str]:
    """Networks that see labeled and mixed images in one pass; ``auto``: a SAM, which has no batch norm."""
    if joint_batch != "auto":
        return list(joint_batch)
    return ["sam"] if sam["kind"] == "sam" else []


def make_optimizers(students: nn.ModuleDict, kinds: Mapping[str, str], rates: Mapping[str, float]) -> list[Optimizer]:
    """An optimizer for each network: ``sgd``, momentum 0.9 and decay 1e-4, or ``adamw``, decay 0.1."""
    require_choice(**{f"optimizers_of#{name}": (kind, OPTIMIZERS) for name, kind in kinds.items()})
    return [
        OPTIMIZERS[kinds[name]]([p for p in network.parameters() if p.requires_grad], rates[name])
        for name, network in students.items()
    ]


def make_schedules(optimizers: Sequence[Optimizer], kind: str, iterations: float) -> list[LRScheduler]:
    """The same schedule of the rate for every optimizer, see ``make_schedule``."""
    return [make_schedule(optimizer, kind, iterations) for optimizer in optimizers]
