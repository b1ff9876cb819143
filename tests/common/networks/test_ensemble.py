import torch

from common.networks import MeanSoftmax, ResNetVNet, VNet


def test_output_is_the_mean_of_the_softmax_maps():
    a, b = VNet(base_channels=2).eval(), ResNetVNet(base_channels=2).eval()
    x = torch.randn(1, 1, 16, 16, 16)
    expected = (a(x).softmax(1) + b(x).softmax(1)) / 2
    torch.testing.assert_close(MeanSoftmax([a, b]).eval()(x), expected)


def test_it_scripts_to_one_tensor_and_keeps_its_members():
    a, b = VNet(base_channels=2), ResNetVNet(base_channels=2)
    network, x = MeanSoftmax([a, b]).eval(), torch.randn(1, 1, 16, 16, 16)
    scripted = torch.jit.script(network)
    torch.testing.assert_close(scripted(x), network(x))
    assert network.networks[0] is a and network.networks[1] is b
