from .crop import RandomResizedCrop2D
from .losses import InternalRegularizer
from .network import ResNetUNet
from .objective import IEREObjective, IERESettings
from .setup import initialised, input_sizes, make_optimizers, make_sam_teacher, pretrain_steps
from .stages import CosineRestarts, WarmUpCosine
from .teacher import Teacher
from .views import Views

__all__ = [
    "CosineRestarts",
    "IEREObjective",
    "IERESettings",
    "InternalRegularizer",
    "RandomResizedCrop2D",
    "ResNetUNet",
    "Teacher",
    "Views",
    "WarmUpCosine",
    "initialised",
    "input_sizes",
    "make_optimizers",
    "make_sam_teacher",
    "pretrain_steps",
]
