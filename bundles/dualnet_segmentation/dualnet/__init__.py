from .correction import ConsistencyCorrection
from .objective import DualNetObjective
from .prototypes import PrototypeGuidedLearning
from .pseudo_labels import (
    CosineConsistency,
    CrossPseudoSupervision,
    EntropyFilteredSupervision,
    UncertaintyEnhancement,
)

__all__ = [
    "ConsistencyCorrection",
    "CosineConsistency",
    "CrossPseudoSupervision",
    "DualNetObjective",
    "EntropyFilteredSupervision",
    "PrototypeGuidedLearning",
    "UncertaintyEnhancement",
]
