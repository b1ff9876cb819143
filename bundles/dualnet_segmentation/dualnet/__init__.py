from .correction import ConsistencyCorrection
from .ensemble import MeanSoftmax
from .networks import make_networks, member_of
from .objective import DualNetObjective
from .prototypes import PrototypeGuidedLearning
from .pseudo_labels import (
    CosineConsistency,
    CrossPseudoSupervision,
    EntropyFilteredSupervision,
    UncertaintyEnhancement,
)
from .resnet_vnet import ResNetVNet

__all__ = [
    "ConsistencyCorrection",
    "CosineConsistency",
    "CrossPseudoSupervision",
    "DualNetObjective",
    "EntropyFilteredSupervision",
    "MeanSoftmax",
    "PrototypeGuidedLearning",
    "ResNetVNet",
    "UncertaintyEnhancement",
    "make_networks",
    "member_of",
]
