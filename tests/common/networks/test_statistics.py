import pytest
import torch
from torch import nn

from common.networks import batchnorm_layers, collected_statistics, statistics_of

GENERATOR = torch.Generator().manual_seed(5)


def images(count, scale=1.0, shift=0.0):
    return scale * torch.randn(count, 2, 6, 5, generator=GENERATOR) + shift


def test_the_statistics_are_those_of_everything_that_was_seen():
    layer = nn.BatchNorm2d(2)
    parts = [images(3, 2.0, 1.0), images(1, 0.5, -2.0)]
    with collected_statistics(layer):
        for part in parts:
            layer(part)
    seen = torch.cat(parts).transpose(0, 1).flatten(1)
    torch.testing.assert_close(layer.running_mean, seen.mean(dim=1))
    torch.testing.assert_close(layer.running_var, seen.var(dim=1, correction=0))


def test_deeper_layers_see_what_is_normalized_by_the_batch():
    network = nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)).eval()
    batch = images(4, 3.0, 5.0)
    with collected_statistics(network):
        out = network(batch)
    torch.testing.assert_close(out, network(batch), atol=1e-5, rtol=1e-5)


def test_nothing_else_changes():
    network = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm2d(2), nn.BatchNorm2d(2, track_running_stats=False))
    network[0].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    with collected_statistics(network):
        network(images(4, 2.0))
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"1.running_mean", "1.running_var"} and list(batchnorm_layers(network)) == ["1"]
    assert [module.training for module in network.modules()] == modes and not network[1]._forward_pre_hooks


def test_a_block_without_a_pass_and_one_that_fails_change_nothing():
    layer = nn.BatchNorm2d(2)
    with collected_statistics(layer):
        pass
    with pytest.raises(ZeroDivisionError), collected_statistics(layer):
        layer(images(2, 3.0))
        raise ZeroDivisionError
    assert not layer.running_mean.any() and layer.running_var.eq(1).all() and not layer._forward_pre_hooks


def test_a_copy_of_the_statistics_can_be_put_back():
    layer = nn.Sequential(nn.BatchNorm2d(2))
    kept = statistics_of(layer)
    layer(images(4, 3.0, 1.0))
    assert layer[0].running_mean.any()
    layer.load_state_dict(kept, strict=False)
    assert not layer[0].running_mean.any() and set(kept) == {"0.running_mean", "0.running_var"}
