import torch
from dualnet import MeanSoftmax, ResNetVNet

from common.networks import VNet


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


class Fixed(torch.nn.Module):
    """Logits of given probabilities, whatever the image."""

    def __init__(self, probabilities):
        super().__init__()
        self.logits = torch.tensor(probabilities).log()

    def forward(self, x):
        return self.logits.view(1, -1, 1, 1, 1).expand(len(x), -1, *x.shape[2:])


def test_disagreement_is_the_jensen_shannon_divergence():
    x = torch.zeros(1, 1, 2, 2, 2)
    opposed = MeanSoftmax([Fixed([1.0, 1e-20]), Fixed([1e-20, 1.0])], disagreement=True)(x)
    torch.testing.assert_close(opposed[0, :, 0, 0, 0], torch.tensor([0.5, 0.5, 1.0]))
    p, q = torch.tensor([0.9, 0.1]), torch.tensor([0.4, 0.6])
    m = (p + q) / 2
    expected = ((p * (p / m).log()).sum() + (q * (q / m).log()).sum()) / 2 / torch.tensor(2.0).log()
    differing = MeanSoftmax([Fixed([0.9, 0.1]), Fixed([0.4, 0.6])], disagreement=True)(x)
    torch.testing.assert_close(differing[0, 2, 1, 1, 1], expected)
    equal = MeanSoftmax([Fixed([0.9, 0.1])] * 2, disagreement=True)(x)
    torch.testing.assert_close(equal[0, 2], torch.zeros(2, 2, 2), atol=1e-6, rtol=0)


def test_dropout_reaches_the_members():
    network = MeanSoftmax([VNet(base_channels=2), ResNetVNet(base_channels=2)], dropout=0.2)
    rates = [m.p for m in network.modules() if isinstance(m, torch.nn.Dropout3d)]
    assert len(rates) == 3 and set(rates) == {0.2}
    assert {m.p for m in MeanSoftmax([VNet(base_channels=2)]).modules() if isinstance(m, torch.nn.Dropout3d)} == {0.5}
