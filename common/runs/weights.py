"""The one way from a file of weights into a network."""

from __future__ import annotations

import logging
from pathlib import Path

from ignite.engine import Engine, Events
from torch import nn

from ..tensors import fill, read_tensors, require_tensor_file
from .record import require_recorded
from .settings import weights_file


class LoadWeights:
    """Load weights when an engine starts; a run that was resumed keeps those it has.

    Args:
        network: what is filled.
        path: see ``load_weights``.
        purpose: see ``load_weights``.
    """

    def __init__(self, network: nn.Module, path: str | Path, purpose: str = "it should hold trained weights") -> None:
        self.network, self.path, self.purpose = network, path, purpose
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.load)

    def load(self, engine: Engine) -> None:
        if engine.state.iteration:
            return
        load_weights(self.network, self.path, self.purpose)
        self.logger.info(f"loaded {weights_file(self.path)}")


def load_weights(network: nn.Module, path: str | Path, purpose: str = "it should hold trained weights") -> nn.Module:
    """Fill a network from a file of its weights, all of it or nothing, and return it.

    State dicts inside ``state_dict``, ``model`` or ``network`` and names that begin with ``module.`` are taken too;
    64- and 16-bit numbers become those of the network.

    Args:
        network: on any device.
        path: the file, or the folder of a run, whose ``model.pt`` is meant.
        purpose: what the weights are, for the message where they are missing.

    Raises:
        InputError: in one line that names the file and what was expected: for a file that is missing, empty,
            truncated, damaged, no PyTorch file, a Git LFS pointer, TorchScript, or more than plain tensors; for names,
            shapes (classes and channels in words) or kinds that do not fit the network; for values that are not
            finite; and for another content than the record beside the file says.
    """
    path = weights_file(path)
    state = read_tensors(path, purpose)
    require_recorded(path)
    fill(network, state, path)
    return network


def require_weights(path: str | Path, purpose: str = "it should hold trained weights") -> Path:
    """A quick look, before anything else is read, at whether ``path`` can hold weights; returns the file.

    Raises:
        InputError: see ``load_weights``, as far as the beginning of the file shows.
    """
    return require_tensor_file(weights_file(path), purpose)
