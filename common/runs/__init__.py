"""A training run as an object: its settings, its record, its weights, its state."""

from .handlers import RunHandler
from .preflight import before_inference, before_training
from .resume import Resume
from .save_model import SaveModel
from .settings import Settings, assumed, load_trained, weights_file
from .weights import LoadWeights

__all__ = [
    "LoadWeights",
    "Resume",
    "RunHandler",
    "SaveModel",
    "Settings",
    "assumed",
    "before_inference",
    "before_training",
    "load_trained",
    "weights_file",
]
