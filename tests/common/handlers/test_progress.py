import torch
from ignite.engine import Engine

from common.handlers import Progress


def test_bar_shows_the_loss_of_every_tenth_iteration(capsys):
    engine = Engine(lambda engine, batch: {"loss": torch.tensor(float(engine.state.iteration))})
    Progress().attach(engine)
    engine.run(range(20))
    shown = capsys.readouterr().err
    assert "loss=20" in shown
    assert "loss=15" not in shown
