from .correction import ConsistencyCorrection
from .objective import DualNetObjective
from .prototypes import PrototypeGuidedLearning
from .pseudo_labels import CrossPseudoSupervision, EntropyFilteredSupervision, UncertaintyEnhancement

__all__ = [
    "ConsistencyCorrection",
    "CrossPseudoSupervision",
    "DualNetObjective",
    "EntropyFilteredSupervision",
    "PrototypeGuidedLearning",
    "UncertaintyEnhancement",
]
