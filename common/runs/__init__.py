"""A training run as an object: its weights and its state."""

from .resume import Resume
from .save_model import SaveModel

__all__ = ["Resume", "SaveModel"]
