from .adaptation import SaveAdaptation
from .intensity import RandomIntensity
from .losses import ConsensusDivergence, masked_loss
from .networks import make_deployed, make_students, make_unet, merged
from .objective import SynFoCObjective, SynFoCSettings
from .rectangle import RandomRectangle
from .smc import SelfMutualConfidence, overlap
from .warp import RandomWarp2D

__all__ = [
    "ConsensusDivergence",
    "RandomIntensity",
    "RandomRectangle",
    "RandomWarp2D",
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
