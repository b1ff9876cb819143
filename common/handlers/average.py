"""The mean of the weights of a run's last part."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine, Events
from torch import nn
from torch.optim.swa_utils import AveragedModel

from ..errors import require_number


class LastAverage:
    r"""Average a network over the ends of the epochs in the last share of a run, weights and batch-norm statistics.

    .. math:: \bar\theta_k = \bar\theta_{k-1} + (\theta_k - \bar\theta_{k-1}) / k

    What is known so far is kept as ``engine.state.average``, with the state of the run; a run that is continued for
    longer begins its average anew where its own last share begins.

    Args:
        network: that is trained, or follows.
        share: of the iterations of the run, in (0, 1].

    Source: stochastic weight averaging (Izmailov et al., UAI 2018), at whatever rate the schedule gives.
    """

    def __init__(self, network: nn.Module, share: float) -> None:
        require_number(0, 1, above=True, average_last=share)
        self.network, self.share = network, share
        self.mean: AveragedModel | None = None

    @property
    def averaged(self) -> nn.Module:
        """The network with the mean weights; itself while there are none."""
        return self.network if self.mean is None else self.mean.module

    def attach(self, engine: Engine) -> None:
        engine.state_dict_user_keys.append("average")
        engine.state.average = None
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.add)
        engine.add_event_handler(Events.COMPLETED, self.recall)

    def add(self, engine: Engine) -> None:
        """Take the weights of now into the mean, once, if the last share has begun."""
        iteration, known = engine.state.iteration, engine.state.average
        if iteration <= self.first(engine) or (known is not None and known["last"] == iteration):
            return
        self.recall(engine)
        if self.mean is None:
            self.mean, known = AveragedModel(self.network, use_buffers=True), None
        self.mean.update_parameters(self.network)
        start = iteration if known is None else known["start"]
        engine.state.average = {"start": start, "last": iteration, "weights": self.mean.state_dict()}

    def recall(self, engine: Engine) -> None:
        """Take up the mean of an earlier part of the same run, as far as it lies in the last share."""
        known: dict[str, Any] | None = engine.state.average
        if known is not None and known["start"] <= self.first(engine):
            self.mean = None
        elif known is not None and self.mean is None:
            self.mean = AveragedModel(self.network, use_buffers=True)
            self.mean.load_state_dict(known["weights"])

    def first(self, engine: Engine) -> int:
        """The iteration after which the last share begins."""
        return round((1 - self.share) * engine.state.epoch_length * engine.state.max_epochs)
