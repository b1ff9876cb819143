from .loader import StagedLoader
from .losses import InternalRegularizer
from .objective import IEREObjective, IERESettings
from .teacher import Teacher
from .views import SquareMask, Views

__all__ = [
    "IEREObjective",
    "IERESettings",
    "InternalRegularizer",
    "SquareMask",
    "StagedLoader",
    "Teacher",
    "Views",
]
