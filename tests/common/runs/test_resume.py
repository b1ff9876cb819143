import csv
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Events
from monai.handlers import LrScheduleHandler
from torch import nn

from common.data import TwoStreamLoader
from common.engines import Objective, SemiSupervisedTrainer
from common.handlers import EMAHandler, History
from common.losses import SupervisedLoss, softmax_mse
from common.networks import make_teacher
from common.runs import Resume
from common.transforms import RandomPatch, RandomRotFlip
from tests.toys import CaseList, LinearObjective, batches


class DropoutObjective(Objective):
    """A student with dropout and batch norm, and a teacher in training mode: every kind of state a method has."""

    TERMS = ("supervised", "consistency")

    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, 2, 1))
        self.teacher = make_teacher(self.network)
        self.supervised = SupervisedLoss()

    def forward(self, batch, step):
        logits, n = self.network(batch.image), batch.labeled
        with torch.no_grad():
            target = self.teacher(batch.image + 0.1 * torch.randn_like(batch.image))
        supervised = self.supervised(logits[:n], batch.label[..., 1:-1, 1:-1])
        return {"supervised": supervised, "consistency": softmax_mse(logits, target).mean()}


def run(folder, epochs, resume=False, order=("schedule", "history", "resume", "ema")):
    """Train up to ``epochs`` epochs of two iterations, with new objects, and return the end state of all of them."""
    torch.manual_seed(0)
    data = CaseList(3, (8, 8)), CaseList(5, (8, 8), labeled=False)
    loader = TwoStreamLoader(*data, 2, 2, RandomPatch([6, 6]), [RandomRotFlip()], epoch_length=2, seed=5)
    objective = DropoutObjective()
    optimizer = torch.optim.SGD(objective.parameters(), 0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 3, 0.5)
    if resume:
        torch.manual_seed(999)
    handlers = {
        "schedule": LrScheduleHandler(scheduler, print_lr=False, epoch_level=False),
        "resume": Resume(folder / "resume.pt", objective, [optimizer], [scheduler], loader, resume=resume),
        "history": History(folder / "history.csv"),
        "ema": EMAHandler(objective.network, objective.teacher),
    }
    trainer = SemiSupervisedTrainer(
        "cpu", epochs, loader, objective, optimizer, train_handlers=[handlers[name] for name in order]
    )
    trainer.run()
    return SimpleNamespace(
        objective=objective, optimizer=optimizer, scheduler=scheduler, loader=loader, trainer=trainer
    )


def rows(folder):
    with open(folder / "history.csv", encoding="utf-8", newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds_per_step"} for row in csv.DictReader(file)]


@pytest.mark.parametrize("first", [1, 2, 3])
@pytest.mark.parametrize(
    "order",
    [
        ("schedule", "history", "resume", "ema"),
        ("ema", "resume", "schedule", "history"),
        ("resume", "ema", "history", "schedule"),
    ],
)
def test_an_interrupted_run_ends_exactly_as_an_uninterrupted_one_in_any_order_of_handlers(tmp_path, first, order):
    whole = run(tmp_path / "whole", 4, order=order)
    run(tmp_path / "parts", first, order=order)
    parts = run(tmp_path / "parts", 4, resume=True, order=order)
    assert parts.trainer.state.iteration == whole.trainer.state.iteration == 8
    for name, value in whole.objective.state_dict().items():
        assert torch.equal(parts.objective.state_dict()[name], value), name
    for ours, theirs in zip(parts.optimizer.state.values(), whole.optimizer.state.values(), strict=True):
        assert torch.equal(ours["momentum_buffer"], theirs["momentum_buffer"])
    assert parts.scheduler.state_dict() == whole.scheduler.state_dict()
    assert torch.equal(parts.loader.state_dict()["generator"], whole.loader.state_dict()["generator"])
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")
    assert [row["iteration"] for row in rows(tmp_path / "parts")] == ["2", "4", "6", "8"]


def test_the_toy_run_is_random_enough_to_notice_a_difference(tmp_path):
    run(tmp_path / "a", 2)
    run(tmp_path / "b", 2)
    torch.manual_seed(1)
    state = torch.load(tmp_path / "b" / "resume.pt", weights_only=True)
    state["random"]["cpu"] = torch.get_rng_state()
    torch.save(state, tmp_path / "b" / "resume.pt")
    a, b = (run(tmp_path / name, 3, resume=True) for name in "ab")
    assert not torch.equal(a.objective.network[0].weight, b.objective.network[0].weight)


def test_a_finished_run_does_nothing_more(tmp_path):
    finished = run(tmp_path, 2)
    again = run(tmp_path, 2, resume=True)
    assert again.trainer.state.iteration == 4
    for name, value in finished.objective.state_dict().items():
        assert torch.equal(again.objective.state_dict()[name], value), name


def test_the_checkpoint_is_only_read_on_request(tmp_path):
    run(tmp_path, 1)
    fresh = run(tmp_path, 2)
    assert [row["iteration"] for row in rows(tmp_path)] == ["2", "4"]
    assert fresh.trainer.state.iteration == 4


def test_a_missing_checkpoint_starts_from_the_beginning_with_a_warning(tmp_path, caplog):
    run(tmp_path, 1, resume=True)
    assert "resume.pt: no such file, starting from the beginning" in caplog.text
    assert [row["iteration"] for row in rows(tmp_path)] == ["2"]


# ---- what is saved, and when


def linear_trainer(path, epochs, evaluator=None, **options):
    objective = LinearObjective()
    optimizer = torch.optim.SGD(objective.parameters(), 0.1)
    resume = Resume(path, objective, [optimizer], [], nn.Identity(), evaluator, **options)
    return SemiSupervisedTrainer("cpu", epochs, batches(1), objective, optimizer, train_handlers=[resume])


@pytest.mark.parametrize(("interval", "saved"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4]), (0, [])])
def test_state_is_saved_every_so_many_epochs(tmp_path, interval, saved):
    trainer, seen = linear_trainer(tmp_path / "r.pt", 5, interval=interval), []

    def look(engine):
        if (tmp_path / "r.pt").exists():
            epoch = torch.load(tmp_path / "r.pt", weights_only=True)["counters"]["epoch"]
            if not seen or seen[-1] != epoch:
                seen.append(epoch)

    trainer.add_event_handler(Events.EPOCH_COMPLETED, look)
    trainer.run()
    assert seen == saved


def test_best_metric_of_the_evaluator_is_remembered(tmp_path):
    def evaluator(metric, epoch):
        return SimpleNamespace(state=SimpleNamespace(best_metric=metric, best_metric_epoch=epoch))

    linear_trainer(tmp_path / "r.pt", 1, evaluator(torch.tensor(0.75), 1)).run()
    fresh = evaluator(-1, -1)
    linear_trainer(tmp_path / "r.pt", 2, fresh, resume=True, interval=0).run()
    assert (fresh.state.best_metric, fresh.state.best_metric_epoch) == (0.75, 1)


def test_an_interrupted_save_leaves_the_earlier_file(tmp_path, monkeypatch):
    linear_trainer(tmp_path / "r.pt", 1).run()
    before = (tmp_path / "r.pt").read_bytes()

    def fail(state, path):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        linear_trainer(tmp_path / "r.pt", 1).run()
    assert (tmp_path / "r.pt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["r.pt"]
