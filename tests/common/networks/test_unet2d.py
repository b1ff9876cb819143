import pytest
import torch
from torch import nn
from torch.nn import functional as F

from common.networks import UNet2D


def small(**options):
    return UNet2D(base_channels=2, **options)


def test_full_network_has_the_published_number_of_parameters():
    assert sum(p.numel() for p in UNet2D().parameters()) == 1_813_764


def test_logits_and_feature_have_full_resolution():
    network = UNet2D(in_channels=3, out_channels=5, base_channels=4)
    x = torch.randn(2, 3, 16, 32)
    logits, feature = network.forward_features(x)
    assert logits.shape == (2, 5, 16, 32)
    assert feature.shape == (2, 4, 16, 32)
    assert network(x).shape == (2, 5, 16, 32)


def test_full_network_exposes_sixteen_feature_channels():
    logits, feature = UNet2D().eval().forward_features(torch.zeros(1, 1, 16, 16))
    assert logits.shape == (1, 4, 16, 16)
    assert feature.shape == (1, 16, 16, 16)


@pytest.mark.parametrize("shape", [(8, 16), (16, 40), (24, 24)])
def test_extents_that_are_no_multiple_of_16_are_refused(shape):
    with pytest.raises(ValueError, match="multiples of 16"):
        small()(torch.zeros(2, 1, *shape))


def test_dropout_rates_fall_from_the_bottleneck_up_and_the_decoder_has_none():
    rates = [m.p for m in UNet2D(dropout=0.5).modules() if isinstance(m, nn.Dropout)]
    assert rates == pytest.approx([0.05, 0.1, 0.2, 0.3, 0.5, 0, 0, 0, 0])


def test_decoder_concatenates_the_skip_before_the_upsampled_map():
    network = small().eval()
    x = torch.randn(1, 1, 16, 32)
    skips = [network.encoder[0](x)]
    for level in range(1, 5):
        skips.append(network.encoder[level](F.max_pool2d(skips[-1], 2)))
    y = skips.pop()
    for level in range(4):
        up = F.interpolate(network.reduce[level](y), scale_factor=2, mode="bilinear", align_corners=True)
        y = network.decoder[level](torch.cat([skips.pop(), up], dim=1))
    torch.testing.assert_close(network(x), network.head(y))


def test_head_is_a_three_by_three_convolution():
    assert small().head.kernel_size == (3, 3)


@pytest.mark.parametrize("post_dropout", [True, False])
def test_feature_tap_changes_nothing_without_a_last_dropout(post_dropout):
    network = small().eval()
    x = torch.randn(1, 1, 16, 16)
    logits, feature = network.forward_features(x, post_dropout)
    torch.testing.assert_close(feature, network.features(x))
    torch.testing.assert_close(logits, network(x))


def test_scripted_network_returns_one_tensor_equal_to_eager():
    network = small().eval()
    scripted = torch.jit.script(network)
    x = torch.randn(2, 1, 32, 16)
    with torch.no_grad():
        result = scripted(x)
        assert isinstance(result, torch.Tensor)
        torch.testing.assert_close(result, network(x))
