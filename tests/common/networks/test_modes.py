import pytest
import torch
from torch import nn

from common.networks import VNet, frozen_batchnorm_statistics, inactive_dropout, to_channels_last
from common.networks.modes import keep_default_layout


def norm_and_dropout():
    return nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5)).train()


def test_frozen_statistics_stay_and_the_batch_is_still_normalised():
    layer = nn.BatchNorm1d(2).train()
    before = {k: v.clone() for k, v in layer.state_dict().items()}
    x = 5 + 3 * torch.randn(50, 2)
    with frozen_batchnorm_statistics(layer):
        y = layer(x)
    torch.testing.assert_close(y.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.var(0, unbiased=False), torch.ones(2), atol=1e-3, rtol=0)
    for name, value in layer.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_statistics_move_again_after_the_block():
    layer = nn.BatchNorm1d(2).train()
    with frozen_batchnorm_statistics(layer):
        pass
    layer(torch.ones(4, 2) * 7)
    torch.testing.assert_close(layer.running_mean, torch.full((2,), 0.7))
    assert layer.num_batches_tracked == 1


def test_freezing_ends_with_an_exception_too():
    layer = nn.BatchNorm1d(2)
    with pytest.raises(RuntimeError, match="inside"), frozen_batchnorm_statistics(layer):
        raise RuntimeError("inside")
    assert layer.track_running_stats


def test_layers_that_never_tracked_statistics_do_not_start_to():
    layer = nn.BatchNorm1d(2, track_running_stats=False)
    with frozen_batchnorm_statistics(layer):
        pass
    assert not layer.track_running_stats


def test_frozen_blocks_nest():
    layer = nn.BatchNorm1d(2).train()
    with frozen_batchnorm_statistics(layer):
        with frozen_batchnorm_statistics(layer):
            pass
        layer(torch.randn(4, 2))
    assert layer.num_batches_tracked == 0
    assert layer.track_running_stats


def test_inactive_dropout_passes_its_input_through_and_leaves_other_modes():
    network = norm_and_dropout()
    x = torch.randn(8, 2)
    with inactive_dropout(network):
        assert network[0].training
        assert torch.equal(network[1](x), x)
    assert network[1].training
    assert not torch.equal(network[1](x), x)


def test_inactive_dropout_does_not_wake_dropout_of_an_eval_network():
    network = norm_and_dropout().eval()
    with inactive_dropout(network):
        pass
    assert not network[1].training


def test_inactive_dropout_ends_with_an_exception_too():
    network = norm_and_dropout()
    with pytest.raises(RuntimeError, match="inside"), inactive_dropout(network):
        raise RuntimeError("inside")
    assert network[1].training


def test_inactive_dropout_makes_the_vnet_deterministic_in_training_mode():
    network = VNet(base_channels=2).train()
    x = torch.randn(2, 1, 16, 16, 16)
    assert not torch.equal(network(x), network(x))
    with inactive_dropout(network):
        assert torch.equal(network(x), network(x))


@pytest.mark.parametrize(
    ("shape", "layout"), [((2, 3, 4, 5), torch.channels_last), ((2, 3, 4, 5, 6), torch.channels_last_3d)]
)
def test_tensors_become_channels_last_with_the_same_values(shape, layout):
    x = torch.randn(shape)
    y = to_channels_last(x)
    assert y.is_contiguous(memory_format=layout)
    assert torch.equal(x, y)


def test_tensors_of_other_dimensions_are_returned_as_they_are():
    x = torch.randn(2, 3, 4)
    assert to_channels_last(x) is x


def test_module_parameters_become_channels_last_in_place():
    network = nn.Sequential(nn.Conv3d(2, 3, 3), nn.Conv2d(2, 3, 3), nn.Linear(2, 3))
    parameters = list(network.parameters())
    values = [p.detach().clone() for p in parameters]
    assert to_channels_last(network) is network
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert network[1].weight.is_contiguous(memory_format=torch.channels_last)
    for parameter, same, value in zip(network.parameters(), parameters, values, strict=True):
        assert parameter is same
        assert torch.equal(parameter, value)


@pytest.mark.parametrize(("conv", "layout"), [(nn.Conv2d, torch.channels_last), (nn.Conv3d, torch.channels_last_3d)])
@pytest.mark.parametrize("side", ["weight", "input"])
def test_the_first_layer_of_a_gray_image_answers_channels_last(conv, layout, side):
    network, x = conv(1, 8, 3), torch.randn(2, 1, *[6] * (2 if conv is nn.Conv2d else 3))
    y = to_channels_last(network)(x) if side == "weight" else network(to_channels_last(x))
    assert y.is_contiguous(memory_format=layout)
    assert not y.is_contiguous()


@pytest.mark.parametrize(("conv", "side"), [(nn.Conv2d, (6, 6)), (nn.Conv3d, (6, 6, 4))])
@pytest.mark.parametrize("channels", [1, 4])
def test_strided_pointwise_convolutions_of_few_channels_get_the_default_layout(conv, side, channels):
    network = nn.Sequential(conv(channels, 5, 1, stride=2), conv(5, 3, 3)).eval()
    x = torch.randn(2, channels, *side)
    expected, seen = network[0](x), []
    assert keep_default_layout(network) == [network[0]] == keep_default_layout(network)  # once, though asked twice
    assert len(network[0]._forward_pre_hooks) == 1
    network[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    torch.testing.assert_close(network[0](to_channels_last(x)), expected)
    assert seen[0].stride() == x.stride() and network[0].weight.is_contiguous()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_tensor_laid_out_channels_last_already_is_not_copied(channels):
    x = torch.randn(2, 3, 4, 5, channels).movedim(-1, 1)
    moved = to_channels_last(x)
    assert moved.data_ptr() == x.data_ptr() and torch.equal(moved, x) and moved.stride(1) == 1
    gray = torch.randn(2, 1, 3, 4, 5)
    assert to_channels_last(gray).stride() == (60, 1, 20, 5, 1)
    assert to_channels_last(gray).data_ptr() == gray.data_ptr()
