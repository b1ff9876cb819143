from .ensemble import Ensemble, require_axes
from .make import dimensions, make_network
from .modes import frozen_batchnorm_statistics, inactive_dropout, keep_default_layout, set_dropout, to_channels_last
from .norms import NORMS, make_norm, monai_norm, require_groups
from .prepare import fold_batchnorm, prepare_for_inference
from .statistics import batchnorm_layers, collected_statistics, statistics_of
from .teacher import make_teacher
from .unet2d import UNet2D
from .vnet import VNet

__all__ = [
    "NORMS",
    "Ensemble",
    "UNet2D",
    "VNet",
    "batchnorm_layers",
    "collected_statistics",
    "dimensions",
    "fold_batchnorm",
    "frozen_batchnorm_statistics",
    "inactive_dropout",
    "keep_default_layout",
    "make_network",
    "make_norm",
    "make_teacher",
    "monai_norm",
    "prepare_for_inference",
    "require_axes",
    "require_groups",
    "set_dropout",
    "statistics_of",
    "to_channels_last",
]
