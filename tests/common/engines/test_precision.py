import pytest
import torch
from torch import nn

from common.engines import SemiSupervisedTrainer, StepSettings
from common.engines.precision import reject_wrong_bfloat16
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


@pytest.mark.parametrize("extents", [(2, 4, 4), (2, 2, 2), (2, 1, 8)])
def test_first_extent_of_two_is_an_error_within_the_block_alone(extents):
    layer, x = nn.Conv3d(1, 1, 3, padding=1), torch.zeros(1, 1, *extents)
    with reject_wrong_bfloat16(layer), pytest.raises(InputError, match="patch_size.*amp: false"):
        layer(x)
    layer(x)


@pytest.mark.parametrize("extents", [(1, 2, 2), (3, 2, 2), (4, 2, 2), (8, 2, 2)])
def test_other_first_extents_pass(extents):
    layer = nn.Conv3d(1, 1, 3, padding=1)
    with reject_wrong_bfloat16(layer):
        assert layer(torch.zeros(1, 1, *extents)).shape[2:] == extents


def test_other_kernels_pass():
    network = nn.Sequential(nn.Conv3d(1, 1, 1), nn.Conv3d(1, 1, 2, stride=2), nn.ConvTranspose3d(1, 1, 2, stride=2))
    with reject_wrong_bfloat16(network):
        network(torch.zeros(1, 1, 2, 2, 2))


@pytest.mark.parametrize(("channels", "extents"), [(16, (4, 4, 2)), (16, (3, 2, 2)), (16, (8, 2, 2))])
def test_gradients_of_extents_that_pass_are_right_in_bfloat16(channels, extents):
    x, g = torch.randn(2, channels, *extents), torch.randn(2, channels, *extents)
    layer = nn.Conv3d(channels, channels, 3, padding=1)
    layer(x).backward(g)
    expected, layer.weight.grad = layer.weight.grad, None
    with torch.autocast("cpu", dtype=torch.bfloat16), reject_wrong_bfloat16(layer):
        layer(x).backward(g.bfloat16())
    assert (layer.weight.grad - expected).norm() < 0.03 * expected.norm()


@pytest.mark.parametrize("shape", [(16, 16, 16), (32, 16, 16)])
def test_trainer_refuses_such_patches_with_amp_on_a_cpu(shape):
    with pytest.raises(InputError, match="first extent"):
        train(VNet(base_channels=2), shape, amp=True)


def test_trainer_takes_such_patches_without_amp():
    train(VNet(base_channels=2), (16, 16, 16))


def test_trainer_takes_2d_networks_with_amp():
    train(UNet2D(base_channels=2), (32, 32), amp=True)
