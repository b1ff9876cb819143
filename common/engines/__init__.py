from .objective import Objective
from .schedules import make_schedule
from .trainer import SemiSupervisedTrainer, StepSettings

__all__ = [
    "Objective",
    "SemiSupervisedTrainer",
    "StepSettings",
    "make_schedule",
]
