from .affine import warp_affine, warp_boxes
from .box_mask import RandomBoxMask
from .contrast import RandomContrast
from .mixup import MixUp
from .one_of import OneOf
from .rotate import RandomRotate2D
from .spacing import SpacingOfKeysd

__all__ = [
    "MixUp",
    "OneOf",
    "RandomBoxMask",
    "RandomContrast",
    "RandomRotate2D",
    "SpacingOfKeysd",
    "warp_affine",
    "warp_boxes",
]
