import pytest
import torch
from ignite.engine import Engine, Events

from common.engines import SemiSupervisedTrainer
from common.runs import SaveModel
from tests.toys import LinearObjective, batches


def train(objective, path, fail_at=None, error=RuntimeError):
    """Train three iterations with the handler, raising an error at one of them if asked."""
    optimizer = torch.optim.SGD(objective.parameters(), 0.1)
    trainer = SemiSupervisedTrainer(
        "cpu", 1, batches(3), objective, optimizer, train_handlers=[SaveModel(objective, path)]
    )
    if fail_at is not None:

        def fail(engine):
            raise error("stop")

        trainer.add_event_handler(Events.ITERATION_COMPLETED(once=fail_at), fail)
    trainer.run()


def evaluate(network, path, metrics):
    """Evaluate once per metric; returns the weights on disk after each evaluation."""
    engine, saved = Engine(lambda engine, batch: None), []
    engine.state.best_metric, engine.state.best_metric_epoch = -1, -1

    @engine.on(Events.EPOCH_COMPLETED)
    def compare(engine):
        network.w.data.fill_(float(engine.state.epoch))
        metric = metrics[engine.state.epoch - 1]
        if metric > engine.state.best_metric:
            engine.state.best_metric, engine.state.best_metric_epoch = metric, engine.state.epoch

    SaveModel(network, path, best=True).attach(engine)
    engine.add_event_handler(
        Events.EPOCH_COMPLETED, lambda _: saved.append(torch.load(path, weights_only=True)["w"].item())
    )
    engine.run([0], max_epochs=len(metrics))
    return saved


def test_last_weights_are_saved_as_plain_tensors(tmp_path):
    objective = LinearObjective()
    train(objective, tmp_path / "models" / "model.pt")
    state = torch.load(tmp_path / "models" / "model.pt", weights_only=True)
    assert list(state) == ["w"]
    assert type(state["w"]) is torch.Tensor
    assert state["w"].item() == objective.w.item() != 2
    LinearObjective().load_state_dict(state)


@pytest.mark.parametrize("error", [RuntimeError, FloatingPointError, KeyboardInterrupt])
def test_an_exception_leaves_the_earlier_file_alone(tmp_path, error):
    path = tmp_path / "model.pt"
    train(LinearObjective(), path)
    before = path.read_bytes()
    with pytest.raises(error):
        train(LinearObjective(start=50.0), path, fail_at=2, error=error)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


def test_an_exception_without_an_earlier_file_leaves_none(tmp_path):
    with pytest.raises(RuntimeError):
        train(LinearObjective(), tmp_path / "model.pt", fail_at=2)
    assert not list(tmp_path.iterdir())


def test_best_weights_are_those_of_the_best_evaluation_so_far(tmp_path):
    saved = evaluate(LinearObjective(), tmp_path / "best.pt", metrics=[0.5, 0.4, 0.6, 0.6, 0.1])
    assert saved == [1, 1, 3, 3, 3]


def test_channels_last_weights_are_saved_contiguous(tmp_path):
    network = torch.nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)
    engine = Engine(lambda engine, batch: None)
    SaveModel(network, tmp_path / "m.pt").attach(engine)
    engine.run([0])
    weight = torch.load(tmp_path / "m.pt", weights_only=True)["weight"]
    assert weight.is_contiguous()
    assert torch.equal(weight, network.weight)


def test_what_is_deployed_may_differ_from_what_is_trained(tmp_path):
    def merged(network):
        deployed = torch.nn.Linear(1, 1)
        torch.nn.init.constant_(deployed.weight, 2 * float(network.w))
        return deployed

    network = LinearObjective(start=3.0)
    engine = Engine(lambda engine, batch: None)
    SaveModel(network, tmp_path / "model.pt", export=merged).attach(engine)
    engine.run([0])
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    assert set(state) == {"weight", "bias"} and state["weight"].item() == 6
