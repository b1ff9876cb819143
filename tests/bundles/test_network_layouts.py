"""Layouts of the networks that bundles train."""

import pytest
import torch
from dualnet import ResNetVNet
from iere import ResNetUNet

from common.networks import UNet2D, VNet, keep_default_layout, to_channels_last


def narrow():
    return ResNetUNet(backbone="resnet18", base_channels=4)


@pytest.mark.parametrize(
    ("network", "kept"),
    [(ResNetUNet, 0), (lambda: ResNetUNet(backbone="resnet18", base_channels=32), 0), (narrow, 2), (VNet, 0),
     (ResNetVNet, 0), (lambda: ResNetVNet(base_channels=8), 1), (lambda: UNet2D(base_channels=4), 0)],
)  # fmt: skip
def test_networks_of_published_widths_run_channels_last_throughout(network, kept):
    assert len(keep_default_layout(network())) == kept


@pytest.mark.parametrize(
    ("network", "shape"), [(narrow, (2, 1, 32, 32)), (lambda: ResNetVNet(base_channels=4), (1, 1, 16, 16, 16))]
)
def test_narrow_networks_have_the_gradients_of_the_default_layout(network, shape):
    network, x = network().eval(), torch.randn(shape)
    parameters = list(network.parameters())
    expected = torch.autograd.grad(network(x).square().sum(), parameters)
    to_channels_last(network)
    found = torch.autograd.grad(network(to_channels_last(x)).square().sum(), parameters)
    assert all((a - b).norm() <= 1e-3 * b.norm() + 1e-6 for a, b in zip(found, expected))


def test_a_laid_out_network_is_exported_and_saved_as_before():
    network = narrow().eval()
    names, x = list(network.state_dict()), torch.randn(1, 1, 32, 32)
    expected = network(x)
    assert keep_default_layout(to_channels_last(network))
    assert list(network.state_dict()) == names
    for exported in (torch.jit.script(network), torch.jit.trace(network, x)):
        torch.testing.assert_close(exported(to_channels_last(x)), expected, atol=1e-4, rtol=1e-4)
