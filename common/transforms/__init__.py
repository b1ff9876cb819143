from .batch import Batch, BatchTransform
from .mixup import MixUp
from .noise import clamped_noise
from .one_of import OneOf
from .patch import RandomPatch, ResizedSlice
from .rotate import RandomRotate2D
from .rotflip import RandomRotFlip

__all__ = [
    "Batch",
    "BatchTransform",
    "MixUp",
    "OneOf",
    "RandomPatch",
    "RandomRotFlip",
    "RandomRotate2D",
    "ResizedSlice",
    "clamped_noise",
]
