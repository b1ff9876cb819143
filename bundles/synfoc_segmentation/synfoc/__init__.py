from .adaptation import SaveAdaptation
from .intensity import RandomIntensity
from .losses import ConsensusDivergence, masked_loss
from .networks import make_deployed, make_students, make_unet, merged
from .objective import SynFoCObjective
from .rectangle import RandomRectangle
from .selection import SmoothedDice, make_score
from .settings import SynFoCSettings
from .setup import (
    choose_deployed,
    deployed_name,
    input_sizes,
    joint_networks,
    make_inferer,
    make_optimizers,
    make_sample,
    make_schedules,
    parts_to_compare,
)
from .smc import SelfMutualConfidence, overlap
from .warp import RandomWarp2D

__all__ = [
    "ConsensusDivergence",
    "RandomIntensity",
    "RandomRectangle",
    "RandomWarp2D",
    "SaveAdaptation",
    "SelfMutualConfidence",
    "SmoothedDice",
    "SynFoCObjective",
    "SynFoCSettings",
    "choose_deployed",
    "deployed_name",
    "input_sizes",
    "joint_networks",
    "make_inferer",
    "make_optimizers",
    "make_sample",
    "make_schedules",
    "make_score",
    "parts_to_compare",
    "make_deployed",
    "make_students",
    "make_unet",
    "masked_loss",
    "merged",
    "overlap",
]
