from .affine import warp_affine, warp_boxes
from .appearance import RandomAppearance
from .batch import Batch, BatchTransform
from .box_mask import RandomBoxMask, ScaledBoxMask
from .components import KeepLargestComponentd, largest_component, largest_per_class
from .confidence import ConfidenceSumsd, ExpectedDiced
from .contrast import RandomContrast
from .copy_paste import CopyPaste, CutMix, paste, unlabeled_of_halves
from .geometry import RandomGeometry
from .make import make_augment, make_sample
from .mixup import MixUp
from .noise import clamped_noise
from .one_of import OneOf
from .patch import RandomPatch, ResizedSlice
from .resize import resize_image, resize_nearest
from .rotate import RandomRotate2D
from .rotflip import RandomRotFlip
from .spacing import SpacingOfKeysd
from .uncertainty import AnswerInPercentd, UncertaintyMapd

__all__ = [
    "AnswerInPercentd",
    "Batch",
    "BatchTransform",
    "ConfidenceSumsd",
    "CopyPaste",
    "CutMix",
    "ExpectedDiced",
    "KeepLargestComponentd",
    "MixUp",
    "OneOf",
    "RandomAppearance",
    "RandomBoxMask",
    "RandomContrast",
    "RandomGeometry",
    "RandomPatch",
    "RandomRotFlip",
    "RandomRotate2D",
    "ResizedSlice",
    "ScaledBoxMask",
    "SpacingOfKeysd",
    "UncertaintyMapd",
    "clamped_noise",
    "largest_component",
    "largest_per_class",
    "make_augment",
    "make_sample",
    "paste",
    "resize_image",
    "resize_nearest",
    "unlabeled_of_halves",
    "warp_affine",
    "warp_boxes",
]
