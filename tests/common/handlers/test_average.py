import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn

from common.errors import InputError
from common.handlers import LastAverage


def stepped(share, epochs, length=2, start=0, state=None, network=None):
    """Run epochs whose iterations set the weight to their number; the handler, the engine and the network."""
    network = network or nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))

    def step(engine, _):
        with torch.no_grad():
            network[0].weight.fill_(float(engine.state.iteration))
            network[1].running_mean.fill_(10.0 * engine.state.iteration)

    engine, handler = Engine(step), LastAverage(network, share)
    engine.state_dict_user_keys.append("other")
    handler.attach(engine)
    if start:

        @engine.on(Events.STARTED)
        def resume(engine):
            engine.state.iteration, engine.state.epoch, engine.state.average = start, start // length, state

    engine.run([None] * length, max_epochs=epochs, epoch_length=length)
    return handler, engine, network


def weights(handler):
    return handler.averaged[0].weight.item(), float(handler.averaged[1].running_mean)


@pytest.mark.parametrize(("share", "expected"), [(1.0, 6.0), (0.5, 8.0), (0.4, 9.0), (0.01, 10.0)])
def test_the_ends_of_the_last_epochs_count_alike(share, expected):
    handler, engine, network = stepped(share, epochs=5)  # ends at 2, 4, 6, 8, 10
    assert weights(handler) == (expected, 10 * expected)
    assert network[0].weight.item() == 10 and "average" in engine.state_dict_user_keys


def test_a_run_that_was_stopped_ends_as_one_that_was_not():
    _, engine, network = stepped(0.8, epochs=5)
    state = {key: value for key, value in engine.state.average.items() if key != "weights"}
    half, before, network = stepped(1.0, epochs=3)
    again, after, _ = stepped(1.0, epochs=5, start=6, state=before.state.average, network=network)
    assert weights(again) == (6.0, 60.0)
    assert state == {"start": 4, "last": 10} and after.state.average["start"] == 2


def test_the_end_of_an_epoch_counts_once():
    handler, engine, _ = stepped(1.0, epochs=3)
    handler.add(engine)
    assert weights(handler) == (4.0, 40.0) and int(handler.mean.n_averaged) == 3


def test_a_longer_run_begins_its_mean_where_its_own_last_share_begins():
    _, before, network = stepped(0.5, epochs=4)  # 6, 8
    longer, _, _ = stepped(0.5, epochs=8, start=8, state=before.state.average, network=network)  # 10 to 16
    assert weights(longer) == (13.0, 130.0)


@pytest.mark.parametrize("share", [0, -0.1, 1.5])
def test_a_share_is_one(share):
    with pytest.raises(InputError, match="average_last"):
        LastAverage(nn.Linear(1, 1), share)
