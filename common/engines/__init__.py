from .objective import Objective
from .process import end_process, start_process, this_device
from .schedules import make_schedule
from .trainer import SemiSupervisedTrainer, StepSettings
from .validation import make_evaluator

__all__ = [
    "Objective",
    "SemiSupervisedTrainer",
    "StepSettings",
    "end_process",
    "make_evaluator",
    "make_schedule",
    "start_process",
    "this_device",
]
