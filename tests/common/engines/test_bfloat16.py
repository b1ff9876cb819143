import pytest
import torch
from torch import nn

from common.engines import SemiSupervisedTrainer, StepSettings
from common.engines.bfloat16 import _say_once, right_bfloat16
from common.errors import InputError
from common.networks import UNet2D, VNet
from common.transforms import Batch
from tests.toys import LinearObjective


class NetworkObjective(LinearObjective):
    """Mean logit of a network as the supervised term."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, batch, step):
        return {"supervised": self.network(batch.image).float().square().mean()}


def train(network, shape, **settings):
    objective = NetworkObjective(network)
    batch = Batch(torch.randn(2, 1, *shape), torch.zeros(1, 1, *shape, dtype=torch.uint8))
    optimizer = torch.optim.SGD(objective.parameters(), 0.1)
    SemiSupervisedTrainer("cpu", 1, [batch], objective, optimizer, StepSettings(**settings)).run()


def gradients(layer, x, g, half):
    """Those of a layer's weight and input; with autocast within the guard."""
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half), right_bfloat16(layer):
        y = layer(x)
    return torch.autograd.grad(y, (layer.weight, x), g.to(y.dtype))


def relative(a, b):
    return (a - b).norm() / b.norm()


@pytest.mark.parametrize("extents", [(2, 4, 4), (2, 2, 2), (2, 1, 8)])
def test_first_extent_of_two_is_refused_on_request_within_the_block_alone(extents):
    layer, x = nn.Conv3d(1, 1, 3, padding=1), torch.zeros(1, 1, *extents)
    with right_bfloat16(layer, refuse=True), pytest.raises(InputError, match="patch_size.*amp: auto or float32"):
        layer(x)
    layer(x)


@pytest.mark.parametrize("extents", [(1, 2, 2), (3, 2, 2), (4, 2, 2), (8, 2, 2)])
def test_other_first_extents_pass(extents):
    layer = nn.Conv3d(1, 1, 3, padding=1)
    with right_bfloat16(layer, refuse=True):
        assert layer(torch.zeros(1, 1, *extents)).shape[2:] == extents


def test_other_kernels_pass():
    network = nn.Sequential(nn.Conv3d(1, 1, 1), nn.Conv3d(1, 1, 2, stride=2), nn.ConvTranspose3d(1, 1, 2, stride=2))
    with right_bfloat16(network, refuse=True):
        network(torch.zeros(1, 1, 2, 2, 2))


@pytest.mark.parametrize("channels", [16, 32])
@pytest.mark.parametrize("extents", [(2, 4, 4), (2, 8, 8), (2, 2, 2), (4, 4, 2), (3, 2, 2), (8, 2, 2)])
def test_gradients_under_autocast_are_right(channels, extents):
    x, g = torch.randn(2, channels, *extents, requires_grad=True), torch.randn(2, channels, *extents)
    layer = nn.Conv3d(channels, channels, 3, padding=1)
    expected, found = gradients(layer, x, g, half=False), gradients(layer, x, g, half=True)
    assert all(relative(a, b) < 0.01 for a, b in zip(found, expected))
    assert torch.equal(found[0], expected[0]) == (extents[0] == 2)


def test_float32_is_for_the_layer_alone_also_when_it_fails():
    network = nn.Sequential(nn.Conv3d(1, 1, 3, padding=1), nn.Conv3d(1, 1, 1), nn.Conv3d(2, 1, 3))
    with torch.autocast("cpu", dtype=torch.bfloat16), right_bfloat16(network):
        assert network[:2](torch.zeros(1, 1, 2, 2, 2)).dtype == torch.bfloat16
        with pytest.raises(RuntimeError):
            network[2](torch.zeros(1, 1, 2, 2, 2))
        assert network[:2](torch.zeros(1, 1, 4, 4, 4)).dtype == torch.bfloat16
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in network)


@pytest.mark.parametrize("shape", [(16, 16, 16), (32, 16, 16)])
def test_trainer_refuses_such_patches_in_bfloat16(shape):
    with pytest.raises(InputError, match="first extent"):
        train(VNet(base_channels=2), shape, amp="bfloat16")


def test_trainer_takes_such_patches_in_float32():
    train(VNet(base_channels=2), (16, 16, 16), amp="float32")


def test_trainer_whose_machine_chose_takes_such_patches_and_says_so(monkeypatch, caplog):
    monkeypatch.setattr("common.precision.bfloat16_speedup", lambda: 2.0)
    _say_once.cache_clear()
    network = VNet(base_channels=16)
    with caplog.at_level("INFO"):
        train(network, (32, 16, 16), amp="auto")
    assert all(torch.isfinite(p).all() for p in network.parameters())
    assert caplog.text.count("run in float32") == 1


def test_trainer_takes_2d_networks_in_bfloat16():
    train(UNet2D(base_channels=2), (32, 32), amp=True)
