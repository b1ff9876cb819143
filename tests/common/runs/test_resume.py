import csv
import errno
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine, Events
from monai.handlers import LrScheduleHandler
from torch import nn

from common.data import TwoStreamLoader
from common.engines import Objective, SemiSupervisedTrainer
from common.errors import InputError
from common.handlers import EMAHandler, History
from common.losses import SupervisedLoss, softmax_mse
from common.networks import make_teacher
from common.runs import Resume
from common.tensors import mark_from_file
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


def schedule_of(kind, optimizer, iterations):
    if kind == "poly":
        return torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=iterations, power=0.9)
    return torch.optim.lr_scheduler.StepLR(optimizer, 3, 0.5)


def run(folder, iterations, resume=False, order=("schedule", "history", "resume", "ema"), **given):
    """Train up to an iteration, two per epoch, with new objects, and return the end state of all of them."""
    options = {"length": 2, "rate": 0.1, "kind": "step", "stop_at": None, **given}
    torch.manual_seed(0)
    data = CaseList(3, (8, 8)), CaseList(5, (8, 8), labeled=False)
    loader = TwoStreamLoader(
        *data, 2, 2, RandomPatch([6, 6]), [RandomRotFlip()], epoch_length=options["length"], seed=5
    )
    objective = DropoutObjective()
    optimizer = torch.optim.SGD(objective.parameters(), options["rate"], momentum=0.9)
    scheduler = schedule_of(options["kind"], optimizer, iterations)
    if resume:
        torch.manual_seed(999)
    state = Resume(folder / "resume.pt", objective, [optimizer], [scheduler], loader, resume=resume)
    handlers = {
        "schedule": LrScheduleHandler(scheduler, print_lr=False, epoch_level=False),
        "resume": state,
        "history": History(folder / "history.csv"),
        "ema": EMAHandler(objective.network, objective.teacher),
    }
    trainer = SemiSupervisedTrainer(
        "cpu", iterations // options["length"], loader, objective, optimizer,
        train_handlers=[handlers[name] for name in order],
    )  # fmt: skip
    rates = []
    trainer.add_event_handler(Events.ITERATION_STARTED, lambda _: rates.append(optimizer.param_groups[0]["lr"]))
    if options["stop_at"]:
        trainer.add_event_handler(
            Events.ITERATION_COMPLETED(once=options["stop_at"]), lambda _: setattr(state.request, "number", 15)
        )
    trainer.run()
    return SimpleNamespace(
        objective=objective, optimizer=optimizer, scheduler=scheduler, loader=loader, trainer=trainer, rates=rates
    )


def rows(folder):
    with open(folder / "history.csv", encoding="utf-8", newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds_per_step"} for row in csv.DictReader(file)]


def assert_same(ours, theirs):
    for name, value in theirs.objective.state_dict().items():
        assert torch.equal(ours.objective.state_dict()[name], value), name
    for one, other in zip(ours.optimizer.state.values(), theirs.optimizer.state.values(), strict=True):
        assert torch.equal(one["momentum_buffer"], other["momentum_buffer"])
    assert ours.scheduler.state_dict() == theirs.scheduler.state_dict()
    assert ours.optimizer.param_groups[0]["lr"] == theirs.optimizer.param_groups[0]["lr"]
    assert torch.equal(ours.loader.state_dict()["generator"], theirs.loader.state_dict()["generator"])


# ---- the same settings


@pytest.mark.parametrize("first", [2, 4, 6])
@pytest.mark.parametrize(
    "order",
    [
        ("schedule", "history", "resume", "ema"),
        ("ema", "resume", "schedule", "history"),
        ("resume", "ema", "history", "schedule"),
    ],
)
def test_an_interrupted_run_ends_exactly_as_an_uninterrupted_one_in_any_order_of_handlers(tmp_path, first, order):
    whole = run(tmp_path / "whole", 8, order=order)
    run(tmp_path / "parts", first, order=order)
    parts = run(tmp_path / "parts", 8, resume=True, order=order)
    assert parts.trainer.state.iteration == whole.trainer.state.iteration == 8
    assert_same(parts, whole)
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")
    assert [row["iteration"] for row in rows(tmp_path / "parts")] == ["2", "4", "6", "8"]


@pytest.mark.parametrize("stop_at", [1, 2, 3, 5, 7])
def test_a_run_that_was_stopped_within_an_epoch_loses_nothing(tmp_path, stop_at, capsys):
    whole = run(tmp_path / "whole", 9, length=3, kind="poly")
    with pytest.raises(SystemExit) as stopped:
        run(tmp_path / "parts", 9, length=3, kind="poly", stop_at=stop_at)
    assert stopped.value.code == 128 + 15
    assert capsys.readouterr().err == (
        f"SIGTERM: stopped after iteration {stop_at}; resume: true continues from {tmp_path / 'parts' / 'resume.pt'}\n"
    )
    parts = run(tmp_path / "parts", 9, resume=True, length=3, kind="poly")
    assert parts.trainer.state.iteration == 9 and len(parts.rates) == 9 - stop_at
    assert_same(parts, whole)
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")


def test_the_toy_run_is_random_enough_to_notice_a_difference(tmp_path):
    run(tmp_path / "a", 4)
    run(tmp_path / "b", 4)
    torch.manual_seed(1)
    state = torch.load(tmp_path / "b" / "resume.pt", weights_only=True)
    state["own"]["random"]["cpu"] = torch.get_rng_state()
    torch.save(state, tmp_path / "b" / "resume.pt")
    a, b = (run(tmp_path / name, 6, resume=True) for name in "ab")
    assert not torch.equal(a.objective.network[0].weight, b.objective.network[0].weight)


def test_a_finished_run_does_nothing_more(tmp_path):
    finished = run(tmp_path, 4)
    again = run(tmp_path, 4, resume=True)
    assert again.trainer.state.iteration == 4 and not again.rates
    assert_same(again, finished)


def test_the_state_is_only_read_on_request_and_a_fresh_run_removes_it(tmp_path):
    run(tmp_path, 6)
    fresh = run(tmp_path, 2)
    assert [row["iteration"] for row in rows(tmp_path)] == ["2"]
    assert fresh.trainer.state.iteration == 2
    assert not (tmp_path / "resume.previous.pt").exists()


def test_a_missing_state_starts_from_the_beginning_with_a_warning(tmp_path, caplog):
    run(tmp_path, 2, resume=True)
    assert "resume.pt: no such file, starting from the beginning" in caplog.text
    assert [row["iteration"] for row in rows(tmp_path)] == ["2"]


# ---- other settings


def test_a_finished_run_goes_on_at_the_rates_of_a_longer_one(tmp_path):
    longer = run(tmp_path / "longer", 12, kind="poly")
    finished = run(tmp_path / "run", 4, kind="poly")
    assert finished.optimizer.param_groups[0]["lr"] == 0
    goes_on = run(tmp_path / "run", 12, resume=True, kind="poly")
    assert goes_on.rates == longer.rates[4:]
    assert goes_on.rates[0] == pytest.approx(0.1 * (1 - 4 / 12) ** 0.9)


@pytest.mark.parametrize("kind", ["poly", "step"])
def test_a_new_learning_rate_counts_from_where_the_run_goes_on(tmp_path, kind):
    run(tmp_path, 4, kind=kind)
    goes_on = run(tmp_path, 12, resume=True, kind=kind, rate=0.02)
    assert goes_on.rates == run(tmp_path / "whole", 12, kind=kind, rate=0.02).rates[4:]


@pytest.mark.parametrize("length", [1, 3, 4, 6, 12])
def test_the_position_is_an_iteration_whatever_the_length_of_epochs(tmp_path, length):
    whole = run(tmp_path / "whole", 12)
    run(tmp_path / "parts", 6)
    parts = run(tmp_path / "parts", 12, resume=True, length=length)
    assert parts.trainer.state.iteration == 12 and len(parts.rates) == 6
    assert_same(parts, whole)
    ends = [str(end) for end in range(length, 13, length) if end > 6]
    assert [row["iteration"] for row in rows(tmp_path / "parts")] == ["2", "4", "6", *ends]


def test_fewer_iterations_than_were_done_are_refused(tmp_path):
    run(tmp_path, 6)
    with pytest.raises(InputError, match="iterations: 4 are fewer than the 6 that the run in .* has done"):
        run(tmp_path, 4, resume=True)


def test_a_state_of_two_processes_goes_on_in_one(tmp_path, caplog):
    run(tmp_path / "run", 4)
    state = torch.load(tmp_path / "run" / "resume.pt", weights_only=True)
    torch.save({**state, "processes": 2}, tmp_path / "run" / "resume.pt")
    goes_on = run(tmp_path / "run", 8, resume=True)
    assert "a run of 2 processes goes on with 1" in caplog.text
    assert goes_on.trainer.state.iteration == 8 and len(goes_on.rates) == 4
    torch.save({**state, "processes": 2}, tmp_path / "run" / "resume.pt")
    assert_same(run(tmp_path / "run", 8, resume=True), goes_on)  # anew, but not by chance


def test_a_state_of_another_configuration_is_one_short_line(tmp_path):
    run(tmp_path, 2)
    state = torch.load(tmp_path / "resume.pt", weights_only=True)
    state["objective"]["n" * 300] = torch.zeros(1)
    torch.save(state, tmp_path / "resume.pt")
    with pytest.raises(InputError) as caught:
        run(tmp_path, 4, resume=True)
    assert str(caught.value) == f"{tmp_path / 'resume.pt'}: does not fit this configuration ({'n' * 200})"


# ---- what is saved, and when


def linear_trainer(path, epochs, evaluator=None, objective=None, **options):
    objective = objective or LinearObjective()
    optimizer = torch.optim.SGD([p for p in objective.parameters() if p.requires_grad], 0.1)
    resume = Resume(path, objective, [optimizer], [], nn.Identity(), evaluator, **options)
    return SemiSupervisedTrainer("cpu", epochs, batches(1), objective, optimizer, train_handlers=[resume])


@pytest.mark.parametrize(("interval", "saved"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4]), (0, [])])
def test_state_is_saved_every_so_many_epochs(tmp_path, interval, saved):
    trainer, seen = linear_trainer(tmp_path / "r.pt", 5, interval=interval), []

    def look(engine):
        if (tmp_path / "r.pt").exists():
            iteration = torch.load(tmp_path / "r.pt", weights_only=True)["iteration"]
            if not seen or seen[-1] != iteration:
                seen.append(iteration)

    trainer.add_event_handler(Events.EPOCH_COMPLETED, look)
    trainer.run()
    assert seen == saved


def evaluator_of(metric=-1.0, epoch=-1):
    engine = Engine(lambda engine, batch: None)
    engine.state.best_metric, engine.state.best_metric_epoch = metric, epoch
    return engine


def test_best_metric_of_the_evaluator_is_remembered(tmp_path):
    linear_trainer(tmp_path / "r.pt", 1, evaluator_of(torch.tensor(0.75), 1)).run()
    fresh = evaluator_of()
    linear_trainer(tmp_path / "r.pt", 2, fresh, resume=True, interval=0).run()
    assert (fresh.state.best_metric, fresh.state.best_metric_epoch) == (0.75, 1)


def test_a_validation_that_a_signal_ended_is_done_again(tmp_path):
    class Validate:
        def __init__(self, evaluator):
            self.evaluator, self.epochs = evaluator, []

        def attach(self, engine):
            engine.add_event_handler(Events.EPOCH_COMPLETED, self.run)

        def run(self, engine):
            self.evaluator.run([1, 2, 3])
            self.epochs.append(engine.state.epoch)

    def make(resume):
        objective, evaluator = LinearObjective(), evaluator_of()
        optimizer, validate = torch.optim.SGD(objective.parameters(), 0.1), Validate(evaluator)
        state = Resume(tmp_path / "r.pt", objective, [optimizer], [], nn.Identity(), evaluator, resume=resume)
        handlers = [History(tmp_path / "history.csv"), validate, state]
        trainer = SemiSupervisedTrainer("cpu", 3, batches(2), objective, optimizer, train_handlers=handlers)
        return trainer, validate, state

    trainer, validate, state = make(resume=False)
    validate.evaluator.add_event_handler(
        Events.ITERATION_STARTED(every=2), lambda _: setattr(state.request, "number", 2 * (trainer.state.epoch == 2))
    )
    with pytest.raises(SystemExit, match="SIGINT: stopped after iteration 4"):
        trainer.run()
    assert validate.epochs == [1]
    trainer, validate, _ = make(resume=True)
    trainer.run()
    assert validate.epochs == [2, 3]
    assert [row["iteration"] for row in rows(tmp_path)] == ["2", "4", "6"]


class Adapted(LinearObjective):
    """A trained weight beside a frozen one and a teacher that shares the latter."""

    def __init__(self, frozen, marked=True):
        super().__init__()
        self.base = nn.Linear(64, 64, bias=False).requires_grad_(False)
        nn.init.constant_(self.base.weight, frozen)
        if marked:
            mark_from_file(self, {"base.weight"}, "pretrained.pth")
        self.teacher = make_teacher(self.base)


def test_frozen_weights_of_a_file_are_not_saved_but_must_be_the_same_again(tmp_path):
    linear_trainer(tmp_path / "r.pt", 1, objective=Adapted(0.5)).run()
    state = torch.load(tmp_path / "r.pt", weights_only=True)
    assert set(state["objective"]) == {"w"} and set(state["frozen"]) == {"base.weight", "teacher.weight"}
    again = Adapted(0.5)
    linear_trainer(tmp_path / "r.pt", 1, objective=again, resume=True).run()
    assert again.w.item() != 2
    with pytest.raises(InputError, match=r"pretrained\.pth: not the file that this run was started with"):
        linear_trainer(tmp_path / "r.pt", 2, objective=Adapted(0.25), resume=True).run()


@pytest.mark.parametrize("marked", [True, False])
def test_frozen_weights_that_something_moves_or_that_no_file_has_are_saved(tmp_path, marked):
    objective = Adapted(0.5, marked)
    trainer = linear_trainer(tmp_path / "r.pt", 1, objective=objective)
    if marked:
        trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda _: objective.base.weight.add_(1))
    trainer.run()
    state = torch.load(tmp_path / "r.pt", weights_only=True)
    assert set(state["objective"]) == {"w", "base.weight", "teacher.weight"} and not state["frozen"]
    again = Adapted(7.0)
    linear_trainer(tmp_path / "r.pt", 1, objective=again, resume=True).run()
    assert torch.equal(again.teacher.weight, objective.base.weight) and again.teacher.weight is again.base.weight


def test_an_interrupted_save_leaves_the_earlier_file(tmp_path, monkeypatch):
    linear_trainer(tmp_path / "r.pt", 1).run()
    before = (tmp_path / "r.pt").read_bytes()

    def fail(state, file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match=r"No space left on device: '.*r\.pt'"):
        linear_trainer(tmp_path / "r.pt", 2, resume=True).run()
    assert (tmp_path / "r.pt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["r.pt"]
