import logging

import pytest
import torch
from ignite.engine import Engine

from common.handlers import CollapseWarning


@pytest.mark.parametrize(
    ("shares", "warnings"),
    [([0.1, 0.1, 0.0, 0.0, 0.0, 0.0], 1), ([0.1, 0.0, 0.0, 0.1, 0.1, 0.0], 0), ([0.0] * 6, 1)],
    ids=["vanishes", "flickers", "never there"],
)
def test_it_warns_once_when_a_whole_epoch_has_no_foreground(shares, warnings, caplog):
    engine = Engine(lambda engine, batch: {"loss": torch.tensor(1.0), "pseudo_foreground_a": torch.tensor(batch)})
    handler = CollapseWarning()
    handler.attach(engine)
    with caplog.at_level(logging.WARNING):
        engine.run(shares, max_epochs=3, epoch_length=2)
    messages = [record.getMessage() for record in caplog.records if "collapsed" in record.getMessage()]
    assert len(messages) == warnings
    assert all("pseudo_foreground_a" in message for message in messages)
