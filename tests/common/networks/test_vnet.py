import math

import pytest
import torch
from torch import nn

from common.errors import InputError
from common.networks import VNet
from common.networks.vnet import halvings, kernels


def count(module):
    return sum(p.numel() for p in module.parameters())


def small(**options):
    return VNet(base_channels=2, **options)


def test_full_network_has_the_published_number_of_parameters():
    assert count(VNet()) == 9_448_866


@pytest.mark.parametrize(
    ("part", "index", "parameters"),
    [
        ("encoder", 0, 480), ("encoder", 1, 55_488), ("encoder", 2, 332_352), ("encoder", 3, 1_328_256),
        ("encoder", 4, 5_310_720), ("down", 0, 4_192), ("down", 1, 16_576), ("down", 2, 65_920), ("down", 3, 262_912),
        ("decoder.up", 0, 262_528), ("decoder.up", 1, 65_728), ("decoder.up", 2, 16_480), ("decoder.up", 3, 4_144),
        ("decoder.stacks", 0, 1_328_256), ("decoder.stacks", 1, 332_352), ("decoder.stacks", 2, 55_488),
        ("decoder.stacks", 3, 6_960),
    ],
)  # fmt: skip
def test_every_stage_has_the_published_number_of_parameters(full_vnet, part, index, parameters):
    assert count(full_vnet.get_submodule(f"{part}.{index}")) == parameters


@pytest.fixture(scope="module")
def full_vnet():
    return VNet()


def test_logits_and_feature_have_full_resolution():
    network = VNet(in_channels=2, out_channels=3, base_channels=4)
    x = torch.randn(2, 2, 16, 32, 16)
    logits, feature = network.forward_features(x)
    assert logits.shape == (2, 3, 16, 32, 16)
    assert feature.shape == (2, 4, 16, 32, 16)
    assert network(x).shape == (2, 3, 16, 32, 16)


def test_full_network_exposes_sixteen_feature_channels(full_vnet):
    logits, feature = full_vnet.eval().forward_features(torch.zeros(1, 1, 16, 16, 16))
    assert logits.shape == (1, 2, 16, 16, 16)
    assert feature.shape == (1, 16, 16, 16, 16)


@pytest.mark.parametrize("shape", [(8, 16, 16), (16, 24, 16), (16, 16, 20), (8, 8, 16)])
def test_extents_that_are_no_multiple_of_16_are_refused(shape):
    with pytest.raises(ValueError, match="multiples of 16"):
        small()(torch.zeros(2, 1, *shape))


def test_skips_are_added_after_the_transposed_convolution():
    network = small().eval()
    x = torch.randn(1, 1, 16, 16, 16)
    skips, y = [], x
    for level in range(4):
        skips.append(network.encoder[level](y))
        y = network.down[level](skips[-1])
    y = network.encoder[4](y)
    for level in range(4):
        y = network.decoder.stacks[level](network.decoder.up[level](y) + skips.pop())
    torch.testing.assert_close(network(x), network.head(y))


def test_feature_before_and_after_dropout_differ_by_whole_dropped_channels():
    network = VNet(base_channels=8).train()
    x = torch.randn(2, 1, 16, 16, 16)
    torch.manual_seed(1)
    logits, after = network.forward_features(x, post_dropout=True)
    torch.manual_seed(1)
    same_logits, before = network.forward_features(x, post_dropout=False)
    torch.testing.assert_close(logits, same_logits)
    dropped = (after == 0).flatten(2).all(dim=2)
    assert 0 < dropped.sum() < dropped.numel()
    torch.testing.assert_close(after[~dropped], 2 * before[~dropped])
    torch.testing.assert_close(logits, network.head(after))


def test_dropout_is_inactive_in_eval_mode():
    network = small().eval()
    x = torch.randn(1, 1, 16, 16, 16)
    torch.testing.assert_close(network(x), network(x), rtol=0, atol=0)
    _, before = network.forward_features(x, post_dropout=False)
    _, after = network.forward_features(x, post_dropout=True)
    torch.testing.assert_close(after, before, rtol=0, atol=0)


def test_only_two_dropouts_exist_and_they_drop_channels():
    dropouts = [m for m in small(dropout=0.3).modules() if isinstance(m, nn.modules.dropout._DropoutNd)]
    assert [(type(m), m.p) for m in dropouts] == [(nn.Dropout3d, 0.3)] * 2


def test_kaiming_init_has_the_fan_in_deviation_and_zero_biases():
    network = VNet(base_channels=8, init="kaiming_normal")
    for module in network.modules():
        if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d)):
            assert not module.bias.any()
            if module.weight.numel() > 20_000:
                deviation = math.sqrt(2 / module.weight[0].numel())
                assert module.weight.detach().std().item() == pytest.approx(deviation, rel=0.05)
        elif isinstance(module, nn.BatchNorm3d):
            assert (module.weight == 1).all()
            assert not module.bias.any()


def test_default_init_is_that_of_torch():
    weight = VNet().encoder[4][2].conv.weight  # torch draws uniformly below 1 / sqrt(fan in)
    bound = weight[0].numel() ** -0.5
    assert weight.abs().max() <= bound
    torch.testing.assert_close(weight.std(), torch.tensor(bound / 3**0.5), rtol=0.01, atol=0)


def test_unknown_init_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="kaiming_normal.*'xavier'"):
        small(init="xavier")


def test_scripted_network_returns_one_tensor_equal_to_eager():
    network = small().eval()
    scripted = torch.jit.script(network)
    x = torch.randn(1, 1, 16, 16, 32)
    with torch.no_grad():
        result = scripted(x)
        assert isinstance(result, torch.Tensor)
        torch.testing.assert_close(result, network(x))


def test_axes_are_halved_as_often_as_asked_in_the_last_steps():
    assert halvings(None) == [(2, 2, 2)] * 4
    assert halvings([4, 4, 1]) == [(2, 2, 1)] * 3 + [(2, 2, 2)]
    assert kernels([4, 3, 1]) == [(3, 1, 1), (3, 3, 1), (3, 3, 1), (3, 3, 3), (3, 3, 3)]


@pytest.mark.parametrize("pooling", [[4, 4], [4, 4, 5], [4, 4, -1], [4, 4, 0.5]])
def test_other_halvings_are_refused(pooling):
    with pytest.raises(InputError, match="expected three numbers from 0 to 4"):
        halvings(pooling)


@pytest.mark.parametrize("pooling", [(4, 4, 1), (4, 4, 0), (1, 4, 4)])
def test_thick_slices_are_pooled_less_and_keep_their_extent(pooling):
    network = small(pooling=pooling).eval()
    extents = [2 * 2**n for n in pooling]
    logits, feature = network.forward_features(torch.randn(1, 1, *extents))
    assert list(logits.shape) == [1, 2, *extents] and list(feature.shape) == [1, 2, *extents]
    assert [math.prod(level.shape[2:]) for level in network.encode(torch.zeros(1, 1, *extents))][-1] == 8
    with pytest.raises(ValueError, match="multiples of"):
        network(torch.zeros(1, 1, *(max(side - 1, 1) for side in extents)))


def test_a_voxel_of_a_slice_that_is_not_pooled_yet_sees_its_own_slice_alone():
    """At the finest level a kernel is 1 along the thick axis."""
    first = small(pooling=(4, 4, 1)).encoder[0][0].conv
    assert first.kernel_size == (3, 3, 1) and small().encoder[0][0].conv.kernel_size == (3, 3, 3)


def test_an_anisotropic_network_can_be_scripted():
    network = small(pooling=(4, 4, 1)).eval()
    x = torch.randn(1, 1, 16, 16, 2)
    assert torch.equal(torch.jit.script(network)(x), network(x))
