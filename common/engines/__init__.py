from .objective import Objective
from .schedules import make_schedule, rate_factor
from .staged import StagedOptimizer
from .trainer import SemiSupervisedTrainer, StepSettings
from .validation import make_evaluator

__all__ = [
    "Objective",
    "SemiSupervisedTrainer",
    "StagedOptimizer",
    "StepSettings",
    "make_evaluator",
    "make_schedule",
    "rate_factor",
]
