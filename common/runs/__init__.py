"""A training run as an object: its settings, its record, its weights, its state."""

from .folder import open_run, results_folder
from .handlers import RunHandler
from .preflight import before_inference, before_training
from .process import end_process, is_main, start_process, this_device
from .resume import Resume
from .save_model import SaveModel
from .settings import Settings, assumed, load_trained, weights_file
from .stage import first_stage
from .weights import LoadWeights, load_weights, require_weights

__all__ = [
    "LoadWeights",
    "Resume",
    "RunHandler",
    "SaveModel",
    "Settings",
    "assumed",
    "before_inference",
    "before_training",
    "end_process",
    "is_main",
    "first_stage",
    "load_trained",
    "load_weights",
    "open_run",
    "require_weights",
    "results_folder",
    "start_process",
    "this_device",
    "weights_file",
]
