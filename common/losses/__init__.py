from .consistency import softmax_mse
from .dice import SupervisedLoss, dice_linear, dice_squared, dice_squared_multiclass, one_hot, region_dice
from .entropy import entropy, kl_divergence
from .jaccard import jaccard_binary, jaccard_multiclass
from .mixed import mixed_loss
from .prototypes import weighted_prototype_distance
from .ramps import Ramp, gaussian_rampup
from .reductions import arg_max, masked_mean
from .supervised import make_supervised
from .vat import VirtualAdversarialLoss

__all__ = [
    "Ramp",
    "SupervisedLoss",
    "VirtualAdversarialLoss",
    "arg_max",
    "dice_linear",
    "dice_squared",
    "dice_squared_multiclass",
    "entropy",
    "gaussian_rampup",
    "jaccard_binary",
    "jaccard_multiclass",
    "kl_divergence",
    "make_supervised",
    "masked_mean",
    "mixed_loss",
    "one_hot",
    "region_dice",
    "softmax_mse",
    "weighted_prototype_distance",
]
