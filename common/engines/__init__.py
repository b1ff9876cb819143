from .objective import Objective
from .process import end_process, start_process, this_device
from .schedules import make_schedule
from .stages import CosineRestarts, StagedOptimizer, WarmUpCosine
from .trainer import SemiSupervisedTrainer, StepSettings

__all__ = [
    "CosineRestarts",
    "Objective",
    "SemiSupervisedTrainer",
    "StagedOptimizer",
    "StepSettings",
    "WarmUpCosine",
    "end_process",
    "make_schedule",
    "start_process",
    "this_device",
]
