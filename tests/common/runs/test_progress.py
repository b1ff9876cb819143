import logging
import sys

import torch
from ignite.engine import Engine, Events

from common.engines import SemiSupervisedTrainer, StepSettings
from common.runs.progress import Progress
from tests.toys import LinearObjective, batches


class Loader(list):
    samples = (2, 7)


def train(handler, epochs=2, length=20, before=None):
    objective = LinearObjective()
    optimizer = torch.optim.SGD(objective.parameters(), lr=0.0)
    settings = StepSettings(amp="float32")
    trainer = SemiSupervisedTrainer(
        "cpu", epochs, Loader(batches(length)), objective, optimizer, settings, train_handlers=[handler]
    )
    if before is not None:
        before(trainer)
    trainer.run()
    return trainer


def said(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "Progress"]


def test_the_start_says_what_is_trained_on_what_and_where(caplog):
    with caplog.at_level(logging.INFO, "Progress"):
        train(Progress(subject="ssnet_segmentation on hearts"))
    first, second = said(caplog)
    assert first == (
        "ssnet_segmentation on hearts: 2 labeled and 7 unlabeled samples; cpu in float32; iterations 1 to 40"
    )
    assert "s per step: expected to end at " in second and second.endswith("seconds")


def test_an_end_that_moves_is_told_again(caplog, monkeypatch):
    now = iter([*(float(n) for n in range(1, 3)), *(1000.0 * n for n in range(1, 9))])  # slower and slower
    monkeypatch.setattr("common.runs.progress.time.monotonic", lambda: next(now))
    with caplog.at_level(logging.INFO, "Progress"):
        train(Progress(), length=30)
    assert len([text for text in said(caplog) if "expected to end" in text]) > 1
    assert any("minutes" in text or "hours" in text for text in said(caplog))


def test_a_resumed_run_counts_from_where_it_was(caplog):
    def resume(trainer):
        trainer.load_state_dict({"iteration": 20, "max_epochs": 2, "epoch_length": 20})

    with caplog.at_level(logging.INFO, "Progress"):
        train(Progress(), before=resume)
    assert said(caplog)[0].endswith("iterations 21 to 40")


def test_bar_shows_loss_and_dice_and_end_over_the_whole_run(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    evaluator = Engine(lambda engine, batch: None)
    evaluator.add_event_handler(
        Events.STARTED, lambda engine: engine.state.metrics.update(val_mean_dice=torch.tensor(0.4321))
    )
    progress = Progress(evaluator)
    train(
        progress, before=lambda trainer: trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda _: evaluator.run([0]))
    )
    text = capsys.readouterr().err
    assert "40/40" in text and "loss=8" in text and "Dice=0.432" in text and "end=" in text


def test_there_is_no_bar_without_a_terminal_and_none_where_it_is_not_wanted(capsys, monkeypatch):
    train(Progress())
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    train(Progress(bar=False))
    text = capsys.readouterr().err
    assert "loss=" not in text and "%|" not in text
