from .batch import Batch, BatchTransform
from .box_mask import RandomBoxMask
from .copy_paste import CopyPaste, CutMix, paste
from .mixup import MixUp
from .noise import clamped_noise
from .one_of import OneOf
from .patch import RandomPatch, ResizedSlice
from .rotate import RandomRotate2D
from .rotflip import RandomRotFlip

__all__ = [
    "Batch",
    "BatchTransform",
    "CopyPaste",
    "CutMix",
    "MixUp",
    "OneOf",
    "RandomBoxMask",
    "RandomPatch",
    "RandomRotFlip",
    "RandomRotate2D",
    "ResizedSlice",
    "clamped_noise",
    "paste",
]
