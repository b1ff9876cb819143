from .objective import Objective
from .stages import CosineRestarts, StagedOptimizer, WarmUpCosine
from .trainer import SemiSupervisedTrainer, StepSettings

__all__ = [
    "CosineRestarts",
    "Objective",
    "SemiSupervisedTrainer",
    "StagedOptimizer",
    "StepSettings",
    "WarmUpCosine",
]
