from .losses import InternalRegularizer
from .objective import IEREObjective, IERESettings
from .teacher import Teacher

__all__ = [
    "IEREObjective",
    "IERESettings",
    "InternalRegularizer",
    "Teacher",
]
