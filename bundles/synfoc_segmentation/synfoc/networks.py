"""The networks that SynFoC trains, and the one it deploys."""

from __future__ import annotations

from collections.abc import Mapping

from monai.networks.nets.basic_unet import BasicUNet, UpCat
from torch import nn

from common.errors import require_choice
from common.networks import monai_norm, require_groups, set_dropout
from common.sam import SamSegmenter

from .setup import deployed_name

KINDS = ("sam", "none")
NETWORKS = ("both", "unet_only", "sam_only")


def make_unet(
    in_channels: int = 1, num_classes: int = 2, base_channels: int = 64, wide_end: bool = True, norm: str = "batch"
) -> BasicUNet:
    """The plain batch-norm U-Net, MONAI's; 31,106,242 parameters for one channel and two classes.

    ``wide_end``: its last upsampling keeps all channels. The published network halves them there too (31,036,546).
    ``norm``: see ``common.networks.make_norm``.
    """
    require_groups(base_channels, norm)
    shared = {
        "act": ("RELU", {"inplace": True}),
        "norm": monai_norm(norm),
        "upsample": "deconv",
        "bias": False,
    }
    features = tuple(base_channels * factor for factor in (1, 2, 4, 8, 16, 1))
    unet = BasicUNet(spatial_dims=2, in_channels=in_channels, out_channels=num_classes, features=features, **shared)
    if not wide_end:
        unet.upcat_1 = UpCat(2, features[1], features[0], features[5], halves=True, **shared)
    return unet


def make_students(unet: Mapping, sam: Mapping, networks: str = "both") -> nn.ModuleDict:
    """The trained networks by name: ``unet``, and ``sam``, the foundation network.

    Args:
        unet: arguments of ``make_unet``.
        sam: ``kind``, ``batch``, which is the objective's, and, for the kind ``sam``, arguments of ``SamSegmenter``.
            Kind ``none`` puts a second U-Net in its place, from another random start: two networks that teach each
            other without any pretrained weights.
        networks: ``both``, or one alone (the base rows of table 7).
    """
    require_choice(networks=(networks, NETWORKS))
    students = nn.ModuleDict()
    if networks != "sam_only":
        students["unet"] = make_unet(**unet)
    if networks != "unet_only":
        students["sam"] = _foundation(unet, **sam)
    return students


def make_deployed(
    unet: Mapping, sam: Mapping, deploy: str = "auto", networks: str = "both", dropout: float | None = None
) -> nn.Module:
    """The empty network that the saved weights of ``deploy`` fit: LoRA is merged there, no checkpoint is needed.

    A SAM's logits are of the size of its images here, as a U-Net's are: an exported one needs nothing around it.
    ``dropout``, if not ``None``, is the probability of the U-Net's dropout layers, which training does without; a SAM
    has no such layers.
    """
    deploy = deployed_name(deploy, networks, sam)
    empty = {"full_size": True, **sam, "checkpoint": None, "lora_rank": 0}
    return set_dropout(make_unet(**unet) if deploy == "unet" else _foundation(unet, **empty), dropout)


def merged(network: nn.Module) -> nn.Module:
    """What is saved of a deployed network: a SAM with its LoRA merged, any other as it is."""
    return network.merged() if isinstance(network, SamSegmenter) else network


def _foundation(unet: Mapping, kind: str, batch: int | None = None, **options: object) -> nn.Module:
    require_choice(**{"sam#kind": (kind, KINDS)})
    if kind == "none":
        return make_unet(**unet)
    return SamSegmenter(num_classes=unet["num_classes"], **options)
