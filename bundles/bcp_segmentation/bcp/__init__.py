from .losses import region_dice_squared
from .objective import BCPObjective, BCPSettings
from .setup import make_optimizer, pretrain_steps

__all__ = ["BCPObjective", "BCPSettings", "make_optimizer", "pretrain_steps", "region_dice_squared"]
