import sys

import torch
from ignite.engine import Engine

from common.handlers import Progress


def shown(capsys, monkeypatch, terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    engine = Engine(lambda engine, batch: {"loss": torch.tensor(float(engine.state.iteration))})
    Progress().attach(engine)
    engine.run(range(20))
    return capsys.readouterr().err


def test_bar_shows_the_loss_of_every_tenth_iteration(capsys, monkeypatch):
    text = shown(capsys, monkeypatch, terminal=True)
    assert "loss=20" in text and "loss=15" not in text


def test_there_is_no_bar_without_a_terminal(capsys, monkeypatch):
    text = shown(capsys, monkeypatch, terminal=False)  # where a log may be, of handlers that other tests left
    assert "loss=" not in text and "%|" not in text
