import hashlib
import json

import pytest
import torch
from ignite.engine import Engine
from monai.handlers import CheckpointLoader
from torch import nn

from common.errors import InputError
from common.networks import VNet
from common.runs import LoadWeights, load_weights, require_weights


def network(classes=2, channels=1, width=4):
    return VNet(in_channels=channels, out_channels=classes, base_channels=width, dropout=0.5)


@pytest.fixture
def model(tmp_path):
    torch.save(network().state_dict(), tmp_path / "model.pt")
    return tmp_path / "model.pt"


def refused(path, message, net=None):
    net = net or network()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(InputError, match=message) as caught:
        load_weights(net, path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())  # nothing is half loaded


def test_weights_are_loaded_when_an_engine_starts(model, caplog):
    caplog.set_level("INFO")
    net, engine = network(), Engine(lambda engine, batch: None)
    LoadWeights(net, model).attach(engine)
    state = torch.load(model)
    assert not all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    engine.run([0])
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    assert f"loaded {model}" in caplog.text


def test_a_resumed_run_keeps_its_weights(model):
    net, engine = network(), Engine(lambda engine, batch: None)
    engine.state.iteration = 3
    before = net.state_dict()[next(iter(net.state_dict()))].clone()
    LoadWeights(net, model).load(engine)
    assert torch.equal(net.state_dict()[next(iter(net.state_dict()))], before)


def test_the_folder_of_a_run_means_its_weights(model, tmp_path):
    load_weights(network(), tmp_path)
    assert require_weights(tmp_path) == model
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty.model\.pt: no such file; inference needs them"):
        require_weights(tmp_path / "empty", "inference needs them")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_floating_types_become_those_of_the_network(model, dtype):
    state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in torch.load(model).items()}
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, model)
    net = load_weights(network(), model)
    for key, value in net.state_dict().items():
        assert value.dtype == (torch.float32 if value.is_floating_point() else torch.int64)
        assert torch.equal(value, state[key].to(value.dtype))


def test_classes_and_channels_are_told_in_words(tmp_path):
    path = tmp_path / "model.pt"
    torch.save(network(classes=3).state_dict(), path)
    refused(path, "has 3 classes, num_classes is 2 ")
    torch.save(network(channels=3).state_dict(), path)
    refused(path, "takes 3 channels, in_channels is 1 ")
    torch.save(network(classes=4, channels=2).state_dict(), path)
    refused(path, "has 4 classes, num_classes is 2 and takes 2 channels, in_channels is 1 ")
    torch.save(network(width=8).state_dict(), path)
    refused(path, r"has shape \(128, .*the configured network needs \(64, .*, and \d+ more differ")


def test_another_network_is_told_by_its_names(model):
    torch.save(nn.Conv3d(1, 2, 3).state_dict(), model)
    refused(model, "weights of another network than the one configured: .* are not there.*2 are unknown to it")
    state = network().state_dict()
    torch.save({key: value for key, value in state.items() if key != next(iter(state))}, model)
    refused(model, f"1 of its {len(state)} tensors are not there, the first '{next(iter(state))}'$")


def test_counters_of_batches_may_be_missing(model):
    state = torch.load(model)
    torch.save({key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}, model)
    load_weights(network(), model)


@pytest.mark.parametrize(("value", "dtype"), [(float("nan"), None), (float("inf"), None), (1e300, torch.float64)])
def test_values_that_are_not_finite_are_refused(model, value, dtype):
    state = torch.load(model)
    key = list(state)[3]
    state[key] = state[key].to(dtype or state[key].dtype)
    state[key].view(-1)[0] = value
    torch.save(state, model)
    refused(model, f"{key!r} has NaN or infinite values")


def test_whole_numbers_are_no_weights(model):
    state = torch.load(model)
    key = next(iter(state))
    torch.save({**state, key: (100 * state[key]).to(torch.int8)}, model)
    refused(model, f"{key!r} holds torch.int8, the network needs torch.float32")


def test_a_file_must_be_the_one_that_the_record_beside_it_lists(model):
    record = model.with_name("record.json")
    for listed in ({}, {"weights": {}}, {"weights": {"model.pt": hashlib.sha256(model.read_bytes()).hexdigest()}}):
        record.write_text(json.dumps(listed), encoding="utf-8")
        load_weights(network(), model)
    torch.save(network().state_dict(), model)
    record.write_text(json.dumps({"weights": {"model.pt": "0" * 64}}), encoding="utf-8")
    refused(model, "is not the file that record.json beside it lists: changed since, or damaged")
    for broken in ("", "[5]", '{"weights": {'):
        record.write_text(broken, encoding="utf-8")
        with pytest.raises(InputError, match=r"record.json: not valid JSON|record.json: expected a mapping"):
            load_weights(network(), model)


def test_saved_weights_load_with_the_handler_that_monai_label_prepends(model):
    net, engine = network(), Engine(lambda engine, batch: None)
    CheckpointLoader(load_path=str(model), load_dict={"model": net}, strict=False).attach(engine)
    engine.run([0])
    state = torch.load(model)
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
