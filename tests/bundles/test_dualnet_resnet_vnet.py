import pytest
import torch
from dualnet import ResNetVNet
from torch import nn


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(scope="module")
def full():
    return ResNetVNet()


def test_parameters_are_those_of_the_paper(full):
    assert count(full) == 17_930_354
    assert count(full.stem) + count(full.stages) == 15_858_384


def test_there_is_one_dropout(full):
    assert [name for name, m in full.named_modules() if isinstance(m, nn.Dropout3d)] == ["head_dropout"]


def test_logits_and_features_have_full_resolution():
    network = ResNetVNet(2, 3, base_channels=2)
    logits, feature = network.forward_features(torch.randn(2, 2, 16, 32, 16))
    assert logits.shape == (2, 3, 16, 32, 16) and feature.shape == (2, 2, 16, 32, 16)


def test_feature_before_dropout_has_no_silent_channel():
    torch.manual_seed(0)
    network, x = ResNetVNet(base_channels=8), torch.randn(2, 1, 16, 16, 16)
    silent = [(network.forward_features(x, tap)[1].abs().sum(dim=(0, 2, 3, 4)) == 0).sum() for tap in (True, False)]
    assert silent[0] > silent[1]


def test_a_block_adds_its_input():
    block = ResNetVNet(base_channels=2).stages[0][1].eval()
    nn.init.zeros_(block.norm2.weight)
    nn.init.zeros_(block.norm2.bias)
    x = torch.rand(1, 4, 4, 4, 4)
    torch.testing.assert_close(block(x), x)


def test_scripted_equals_eager():
    network, x = ResNetVNet(base_channels=2).eval(), torch.randn(1, 1, 16, 16, 16)
    torch.testing.assert_close(torch.jit.script(network)(x), network(x))


def test_extents_must_be_multiples_of_16():
    with pytest.raises(ValueError, match="multiples of 16"):
        ResNetVNet(base_channels=2)(torch.randn(1, 1, 16, 16, 24))
