"""A training run as an object: its weights and its state."""

from .resume import Resume
from .save_model import SaveModel
from .weights import LoadWeights, load_weights, require_weights, weights_file

__all__ = ["LoadWeights", "Resume", "SaveModel", "load_weights", "require_weights", "weights_file"]
