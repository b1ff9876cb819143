"""Several networks and mirror images as one network."""

import pytest
import torch

from common.errors import InputError
from common.networks import Ensemble, UNet2D, VNet, batchnorm_layers, prepare_for_inference
from tests.common.networks.test_prepare import trained


@torch.no_grad()
def test_softmax_of_the_result_is_the_mean_over_networks_and_mirror_images():
    networks = [trained(lambda: VNet(base_channels=4)) for _ in range(2)]
    networks[1].head.weight.mul_(-1)
    x = torch.randn(2, 1, 16, 32, 16)
    parts = [network(x.flip(axes)).softmax(1).flip(axes) for network in networks for axes in ([], [2], [4], [2, 4])]
    both = Ensemble(networks, [0, 2]).eval()
    torch.testing.assert_close(both(x).softmax(1), torch.stack(parts).mean(0), rtol=0, atol=1e-5)
    assert float((both(x).softmax(1) - networks[0](x).softmax(1)).abs().max()) > 0.01
    torch.testing.assert_close(torch.jit.script(both)(x), both(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("make", "shape"), [(VNet, (1, 1, 16, 16, 16)), (UNet2D, (1, 1, 32, 32))])
@torch.no_grad()
def test_its_batch_norms_are_folded_though_each_network_runs_several_times(make, shape):
    network = Ensemble([trained(lambda: make(base_channels=4)) for _ in range(2)], [0, 1]).eval()
    x = torch.randn(shape)
    prepared = prepare_for_inference(network, x)
    assert batchnorm_layers(network) and not batchnorm_layers(prepared)
    torch.testing.assert_close(prepared(x).softmax(1), network(x).softmax(1), rtol=0, atol=1e-4)


@pytest.mark.parametrize("mirrors", [[3], [0, 0], [-1], [True], ["x"]])
def test_wrong_axes_are_refused(mirrors):
    with pytest.raises(InputError, match="--mirrors .* expected spatial axes, each once, of 0 to 2"):
        Ensemble([torch.nn.Identity()], mirrors)
