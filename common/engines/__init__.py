from .objective import Objective
from .trainer import SemiSupervisedTrainer, StepSettings

__all__ = [
    "Objective",
    "SemiSupervisedTrainer",
    "StepSettings",
]
