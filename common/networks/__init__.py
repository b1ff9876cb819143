from .ensemble import MeanSoftmax
from .modes import frozen_batchnorm_statistics, inactive_dropout, keep_default_layout, set_dropout, to_channels_last
from .resnet_unet import ResNetUNet
from .resnet_vnet import ResNetVNet
from .teacher import make_teacher
from .unet2d import UNet2D
from .vnet import VNet

__all__ = [
    "MeanSoftmax",
    "ResNetUNet",
    "ResNetVNet",
    "UNet2D",
    "VNet",
    "frozen_batchnorm_statistics",
    "inactive_dropout",
    "keep_default_layout",
    "make_teacher",
    "set_dropout",
    "to_channels_last",
]
