import torch
from ignite.engine import Events

from .settings import weights_file


class LoadWeights:
    def __init__(self, network, path):
        self.network, self.path = network, path

    def attach(self, engine):
        engine.add_event_handler(Events.STARTED, self.load)

    def load(self, engine):
        self.network.load_state_dict(torch.load(weights_file(self.path), map_location="cpu", weights_only=True))
