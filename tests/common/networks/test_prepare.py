"""A prepared network gives the same output, and notices when it must be prepared anew."""

import copy

import pytest
import torch
from dualnet import ResNetVNet
from iere import ResNetUNet
from torch import nn

from common.inferers import SlidingWindowInferer
from common.networks import UNet2D, VNet, fold_batchnorm, prepare_for_inference
from common.networks.prepare import CONVOLUTIONS, OneDNNConvolution, call_onednn
from common.networks.statistics import batchnorm_layers

NETWORKS = {
    "VNet": (lambda: VNet(base_channels=4), (2, 1, 16, 16, 16)),
    "UNet2D": (lambda: UNet2D(1, 3, 4), (2, 1, 32, 32)),
    "ResNetVNet": (lambda: ResNetVNet(base_channels=4), (2, 1, 32, 32, 16)),
    "ResNetUNet": (lambda: ResNetUNet(3, 2, backbone="resnet18"), (2, 3, 64, 64)),
}


def trained(make):
    torch.manual_seed(0)
    network = make()
    for layer in batchnorm_layers(network).values():
        layer.running_mean.normal_(0, 0.3)
        layer.running_var.uniform_(0.5, 2)
        nn.init.uniform_(layer.weight, 0.5, 1.5)
        nn.init.normal_(layer.bias)
    return network.eval()


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_every_batch_norm_is_folded_and_nothing_changes(name):
    make, shape = NETWORKS[name]
    network, x = trained(make), torch.randn(shape)
    before = copy.deepcopy(network.state_dict())
    wanted = network(x)
    prepared = prepare_for_inference(network, x)
    torch.testing.assert_close(prepared(x), wanted, rtol=0, atol=1e-4 * float(wanted.abs().max()))
    assert batchnorm_layers(network) and not batchnorm_layers(prepared)
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in before.items())
    assert prepare_for_inference(network, x) is prepared


@torch.no_grad()
def test_changed_weights_and_statistics_are_noticed():
    network, x = trained(NETWORKS["VNet"][0]), torch.randn(NETWORKS["VNet"][1])
    first = prepare_for_inference(network, x)
    network.head.weight.mul_(2)
    second = prepare_for_inference(network, x)
    next(iter(batchnorm_layers(network).values())).running_mean.add_(1)
    third = prepare_for_inference(network, x)
    assert first is not second and second is not third
    torch.testing.assert_close(third(x), network(x), rtol=0, atol=1e-4)
    network.load_state_dict(trained(NETWORKS["VNet"][0]).state_dict())
    torch.testing.assert_close(prepare_for_inference(network, x)(x), network(x), rtol=0, atol=1e-4)


def test_a_network_in_training_or_that_records_gradients_is_left_alone():
    network, x = trained(NETWORKS["VNet"][0]), torch.randn(NETWORKS["VNet"][1])
    assert prepare_for_inference(network, x) is network
    with torch.no_grad():
        assert prepare_for_inference(network, x) is not network
        network.bottleneck_dropout.train()
        assert prepare_for_inference(network, x) is network


class Branching(nn.Module):
    """Its convolution's output goes to the batch norm and past it."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        nn.init.normal_(self.norm.bias)

    def forward(self, x):
        y = self.conv(x)
        return y + self.norm(y)


class Twice(Branching):
    """One convolution before two batch norms."""

    def __init__(self):
        super().__init__()
        self.other = nn.BatchNorm2d(4)
        nn.init.normal_(self.other.bias)

    def forward(self, x):
        return self.norm(self.conv(x)) + self.other(self.conv(x))


@pytest.mark.parametrize("make", [Branching, Twice])
@torch.no_grad()
def test_what_cannot_be_folded_stays(make):
    network, x = trained(make), torch.randn(1, 1, 8, 8)
    assert torch.equal(fold_batchnorm(network, x)(x), network(x))


@torch.no_grad()
def test_a_network_without_batch_norm_is_not_copied():
    network, x = nn.Sequential(nn.Linear(8, 2), nn.ReLU()).eval(), torch.randn(1, 1, 8, 8)
    assert fold_batchnorm(network, x) is network and prepare_for_inference(network, x, channels_last=False) is network


def onednn_layers(network):
    return [module for module in network.modules() if isinstance(module, OneDNNConvolution)]


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_convolutions_on_a_cpu_call_onednn_with_the_activation_after_them(name):
    make, shape = NETWORKS[name]
    network, x = trained(make), torch.randn(shape)
    folded = fold_batchnorm(network, x)
    called = call_onednn(folded, x)
    convolutions = [module for module in network.modules() if isinstance(module, CONVOLUTIONS)]
    assert len(onednn_layers(called)) == len(convolutions)
    assert any(layer.attr in ("relu", "leaky_relu") for layer in onednn_layers(called))
    for size in (1, 2):  # torch itself takes another way for one small image than for two
        wanted = folded(x[:size])
        torch.testing.assert_close(called(x[:size]), wanted, rtol=0, atol=1e-4 * float(wanted.abs().max()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, wanted = called(x), folded(x)
    assert found.dtype is wanted.dtype is torch.bfloat16
    torch.testing.assert_close(found, wanted, rtol=0, atol=0.05 * float(wanted.float().abs().max()))


@torch.no_grad()
def test_number_types_that_onednn_lacks_take_the_layers():
    network, x = nn.Sequential(nn.Conv2d(1, 2, 3), nn.LeakyReLU(0.3)).eval(), torch.randn(2, 1, 8, 8)
    called = call_onednn(network, x)
    onednn_layers(called)[0].types.clear()
    assert torch.equal(called(x), network(x)) and float(network(x).min()) < 0


@torch.no_grad()
def test_an_output_that_goes_past_its_activation_stays():
    class Past(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.activation = nn.Conv2d(1, 4, 3), nn.ReLU()

        def forward(self, x):
            y = self.conv(x)
            return y + self.activation(y)

    network, x = Past().eval(), torch.randn(1, 1, 8, 8)
    assert call_onednn(network, x) is network
    padded = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, padding_mode="reflect")).eval()
    assert call_onednn(padded, x) is padded


class Counting(nn.Module):
    """A network that says how many windows it saw."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x):
        self.seen.append(len(x))
        return torch.cat([x.cumsum(dim=2), x * 2], dim=1)


@torch.no_grad()
def test_windows_of_one_value_are_computed_once_for_each_value():
    image = torch.full((1, 1, 32, 32, 16), -1.0)
    image[..., 16:, :, :] = 3.0
    image[..., 24:, 24:, 8:] = torch.randn(8, 8, 8)
    network = Counting().eval()
    inferer = SlidingWindowInferer((8, 8, 8), (8, 8, 8), amp=False)
    found = inferer(image, network)
    windows = [
        image[..., x : x + 8, y : y + 8, z : z + 8] for x in (0, 8, 16, 24) for y in (0, 8, 16, 24) for z in (0, 8)
    ]
    assert len(windows) == 32 and sum(network.seen) < 8  # three values and the copy's probes
    wanted = Counting()(windows[-1]).softmax(dim=1)
    torch.testing.assert_close(found[..., 24:, 24:, 8:], wanted)
    torch.testing.assert_close(found[..., :8, :8, :8], Counting()(windows[0]).softmax(dim=1))


class Tied(nn.Module):
    """A convolution of which another place reads the weight, and one that is never called itself."""

    def __init__(self, read):
        super().__init__()
        self.first, self.second, self.read = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), read

    def forward(self, x):
        x = self.first(x)
        return nn.functional.conv2d(x, self.second.weight, padding=1) + (self.first.weight.sum() if self.read else 0)


@pytest.mark.parametrize("read", [False, True])
@torch.no_grad()
def test_weights_that_are_read_elsewhere_stay_where_they_are(read):
    network, x = Tied(read).eval(), torch.randn(1, 1, 16, 16)
    prepared = call_onednn(network, x)
    assert isinstance(prepared.second, nn.Conv2d) and isinstance(prepared.first, nn.Conv2d) == read
    assert torch.allclose(prepared(x), network(x), atol=1e-5)
