from .decay import ExtraDecay
from .losses import RegionalLoss
from .objective import SGRSNetObjective
from .regions import SynergyRegions

__all__ = ["ExtraDecay", "RegionalLoss", "SGRSNetObjective", "SynergyRegions"]
