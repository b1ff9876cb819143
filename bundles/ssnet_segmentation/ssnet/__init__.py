from .objective import SSNetObjective
from .separation import PrototypeSeparation

__all__ = ["PrototypeSeparation", "SSNetObjective"]
