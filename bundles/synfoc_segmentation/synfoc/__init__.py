from .adaptation import SaveAdaptation
from .losses import ConsensusDivergence, masked_loss
from .networks import make_deployed, make_students, make_unet, merged
from .objective import SynFoCObjective, SynFoCSettings
from .smc import SelfMutualConfidence, overlap

__all__ = [
    "ConsensusDivergence",
    "SaveAdaptation",
    "SelfMutualConfidence",
    "SynFoCObjective",
    "SynFoCSettings",
    "make_deployed",
    "make_students",
    "make_unet",
    "masked_loss",
    "merged",
    "overlap",
]
