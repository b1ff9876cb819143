from .adaptation import SaveAdaptation
from .losses import ConsensusDivergence, masked_loss
from .networks import make_deployed, make_students, make_unet, merged
from .objective import SynFoCObjective, SynFoCSettings
from .selection import SmoothedDice
from .smc import SelfMutualConfidence, overlap

__all__ = [
    "ConsensusDivergence",
    "SaveAdaptation",
    "SelfMutualConfidence",
    "SmoothedDice",
    "SynFoCObjective",
    "SynFoCSettings",
    "make_deployed",
    "make_students",
    "make_unet",
    "masked_loss",
    "merged",
    "overlap",
]
