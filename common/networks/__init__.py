from .make import dimensions, make_network
from .modes import frozen_batchnorm_statistics, inactive_dropout, keep_default_layout, set_dropout, to_channels_last
from .statistics import batchnorm_layers, collected_statistics, statistics_of
from .teacher import make_teacher
from .unet2d import UNet2D
from .vnet import VNet

__all__ = [
    "UNet2D",
    "VNet",
    "batchnorm_layers",
    "collected_statistics",
    "dimensions",
    "frozen_batchnorm_statistics",
    "inactive_dropout",
    "keep_default_layout",
    "make_network",
    "make_teacher",
    "set_dropout",
    "statistics_of",
    "to_channels_last",
]
