from .decay import ExtraDecay
from .losses import LabeledLoss, RegionalLoss
from .objective import SGRSNetObjective
from .regions import SynergyRegions

__all__ = ["ExtraDecay", "LabeledLoss", "RegionalLoss", "SGRSNetObjective", "SynergyRegions"]
