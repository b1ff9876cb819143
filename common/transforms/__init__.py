from .batch import Batch, BatchTransform
from .box_mask import RandomBoxMask, RandomRectangle
from .components import largest_component, largest_per_class
from .contrast import RandomContrast
from .copy_paste import CopyPaste, CutMix, paste
from .intensity import RandomIntensity
from .mixup import MixUp
from .noise import clamped_noise
from .one_of import OneOf
from .patch import RandomPatch, ResizedSlice
from .resize import resize_image, resize_nearest
from .resized_crop import RandomResizedCrop2D, warp_affine, warp_boxes
from .rotate import RandomRotate2D
from .rotflip import RandomRotFlip
from .spacing import SpacingOfKeysd
from .uncertainty import AnswerInPercentd, UncertaintyMapd
from .warp import RandomWarp2D

__all__ = [
    "AnswerInPercentd",
    "Batch",
    "BatchTransform",
    "CopyPaste",
    "CutMix",
    "MixUp",
    "OneOf",
    "RandomBoxMask",
    "RandomContrast",
    "RandomIntensity",
    "RandomPatch",
    "RandomRectangle",
    "RandomResizedCrop2D",
    "RandomRotFlip",
    "RandomRotate2D",
    "RandomWarp2D",
    "ResizedSlice",
    "SpacingOfKeysd",
    "UncertaintyMapd",
    "clamped_noise",
    "largest_component",
    "largest_per_class",
    "paste",
    "resize_image",
    "resize_nearest",
    "warp_affine",
    "warp_boxes",
]
