import logging
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine

from common.handlers import CollapseWarning

LABEL = torch.tensor([0, 1, 2, 0, 0]).view(1, 1, 5)  # 40 % foreground


@pytest.mark.parametrize(
    ("shares", "warnings"),
    [
        ([0.1, 0.1, 0.0, 0.0, 0.0, 0.0], 1),
        ([0.1, 0.0, 0.0, 0.1, 0.1, 0.0], 0),
        ([0.0] * 6, 1),
        ([0.039] * 6, 1),
        ([0.041] * 6, 0),
    ],
    ids=["vanishes", "flickers", "never there", "below a tenth of the labels'", "above it"],
)
def test_it_warns_once_when_a_whole_epoch_has_too_little_foreground(shares, warnings, caplog):
    def step(engine, share):
        engine.state.batch = SimpleNamespace(label=LABEL)
        return {"loss": torch.tensor(1.0), "pseudo_foreground_a": torch.tensor(share)}

    engine = Engine(step)
    handler = CollapseWarning()
    handler.attach(engine)
    with caplog.at_level(logging.WARNING):
        engine.run(shares, max_epochs=3, epoch_length=2)
    messages = [record.getMessage() for record in caplog.records if "collapsed" in record.getMessage()]
    assert len(messages) == warnings
    assert all("pseudo_foreground_a at most" in text and "where labels have 4.0e-01" in text for text in messages)


def test_a_method_without_pseudo_labels_is_left_alone(caplog):
    engine = Engine(lambda engine, batch: {"loss": torch.tensor(1.0)})
    CollapseWarning().attach(engine)
    engine.run([0, 0], max_epochs=1)
    assert not caplog.records
