from .crop import RandomResizedCrop2D
from .loader import StagedLoader
from .losses import InternalRegularizer
from .network import ResNetUNet
from .objective import IEREObjective, IERESettings
from .setup import initialised, input_sizes, make_optimizers, make_sam_teacher, pretrain_steps
from .stages import CosineRestarts, StagedOptimizer, WarmUpCosine
from .teacher import Teacher
from .views import SquareMask, Views

__all__ = [
    "CosineRestarts",
    "IEREObjective",
    "IERESettings",
    "InternalRegularizer",
    "RandomResizedCrop2D",
    "ResNetUNet",
    "SquareMask",
    "StagedLoader",
    "StagedOptimizer",
    "Teacher",
    "Views",
    "WarmUpCosine",
    "initialised",
    "input_sizes",
    "make_optimizers",
    "make_sam_teacher",
    "pretrain_steps",
]
