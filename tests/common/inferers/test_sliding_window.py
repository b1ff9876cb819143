import pytest
import torch
from torch import nn

from common.errors import InputError
from common.inferers import SlidingWindowInferer
from common.inferers.sliding_window import spread_starts
from common.networks import VNet
from tools.benchmark.references import sliding_window, window_starts


class PositionRecorder:
    """A predictor that reads the start of each window from an image numbered voxel by voxel."""

    def __init__(self, shape):
        self.shape, self.starts = shape, []

    def __call__(self, windows):
        for window in windows:
            number, start = int(window.flatten()[0]), []
            for extent in reversed(self.shape):
                number, place = divmod(number, extent)
                start.insert(0, place)
            self.starts.append(tuple(start))
        return windows


def positions(shape, roi, stride):
    recorder = PositionRecorder(shape)
    image = torch.arange(torch.Size(shape).numel(), dtype=torch.float32).view(1, 1, *shape)
    result = SlidingWindowInferer(roi, stride, channels_last=False, softmax=False)(image, recorder)
    torch.testing.assert_close(result, image)
    return recorder.starts


def expected_positions(shape, roi, stride):
    axes = [window_starts(*axis) for axis in zip(shape, roi, stride)]
    return {tuple(start) for start in torch.cartesian_prod(*map(torch.tensor, axes)).tolist()}


def test_windows_of_an_atrium_volume_follow_the_published_protocol():
    shape, roi, stride = (192, 142, 88), (112, 112, 80), (18, 18, 4)
    starts = positions(shape, roi, stride)
    assert len(starts) == len(set(starts)) == 6 * 3 * 3
    assert set(starts) == expected_positions(shape, roi, stride)


@pytest.mark.parametrize(
    ("shape", "roi", "stride"),
    [((200, 98), (96, 96), (16, 16)), ((97, 96), (96, 96), (64, 64)), ((50, 41), (10, 8), (3, 8)),
     ((20, 20), (8, 8), (1, 7)), ((9, 12, 16), (8, 8, 8), (5, 2, 8))],
)  # fmt: skip
def test_windows_start_at_multiples_of_the_stride_or_at_the_end(shape, roi, stride):
    starts = positions(shape, roi, stride)
    assert len(starts) == len(set(starts))
    assert set(starts) == expected_positions(shape, roi, stride)


def test_stride_16_on_a_window_of_96_is_not_truncated_to_15():
    starts = positions((200, 96), (96, 96), (16, 96))
    assert [row for row, _ in starts] == [0, 16, 32, 48, 64, 80, 96, 104]


def test_every_stride_is_exact_for_every_window():
    for roi in range(1, 129):
        for stride in range(1, roi + 1):
            overlap = SlidingWindowInferer([roi], [stride]).overlap[0]
            assert 0 <= overlap < 1
            assert int(roi * (1 - overlap)) == stride


@pytest.mark.parametrize(
    ("shape", "roi", "stride"),
    [((40, 33), (16, 16), (7, 5)), ((20, 24, 18), (16, 16, 16), (3, 8, 16)), ((10, 24), (16, 16), (4, 4)),
     ((9, 30, 11), (16, 16, 16), (5, 9, 2)), ((7, 5), (16, 16), (16, 16))],
)  # fmt: skip
def test_result_equals_the_slow_community_loop(shape, roi, stride):
    convolution = nn.Conv2d if len(shape) == 2 else nn.Conv3d
    network = nn.Sequential(convolution(2, 4, 3, padding=1), nn.Tanh(), convolution(4, 3, 3, padding=1)).eval()
    image = 3 * torch.randn(1, 2, *shape)
    with torch.no_grad():
        expected, _ = sliding_window(image, network, roi, stride)
        result = SlidingWindowInferer(roi, stride, sw_batch_size=3, amp=False)(image, network)
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=0)


def test_vnet_result_equals_the_slow_community_loop():
    network, image = VNet(base_channels=2).eval(), torch.randn(1, 1, 20, 17, 16)
    with torch.no_grad():
        expected, windows = sliding_window(image, network, (16, 16, 16), (4, 4, 4))
        result = SlidingWindowInferer([16, 16, 16], [4, 4, 4], amp=False)(image, network)
    assert windows == 4
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=0)


def test_volumes_of_a_batch_are_independent():
    network, images = nn.Conv2d(1, 2, 3, padding=1), torch.randn(3, 1, 20, 12)
    inferer = SlidingWindowInferer([8, 8], [5, 3], amp=False)
    with torch.no_grad():
        together = inferer(images, network)
        alone = torch.cat([inferer(image[None], network) for image in images])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize(("roi", "most"), [((128, 128, 32), 1), ((128, 64, 32), 2), ((32, 32, 32), 3)])
@pytest.mark.parametrize("stride", ["fast", None])
def test_large_windows_go_one_by_one_on_a_cpu(roi, most, stride):
    sizes = []

    def network(x):
        sizes.append(len(x))
        return torch.cat([x, -x], dim=1)

    image = torch.randn(1, 1, *(2 * side for side in roi))
    SlidingWindowInferer(roi, stride or roi, sw_batch_size=3, amp=False)(image, network)
    assert max(sizes) == most and sum(sizes) >= 8


def test_probabilities_sum_to_one_and_logits_are_not_averaged():
    image = torch.tensor([0.0, 0.0, 4.0, 0.0]).view(1, 1, 4, 1)

    def contrast(windows):
        low = windows.amax((2, 3), keepdim=True) * torch.ones_like(windows)
        return torch.cat([torch.zeros_like(low), low], dim=1)

    result = SlidingWindowInferer([2, 1], [1, 1])(image, contrast)[0, 1, :, 0]
    low, high = 0.5, torch.tensor(4.0).sigmoid()
    torch.testing.assert_close(result, torch.stack([torch.tensor(low), (low + high) / 2, high, high]))


def test_softmax_off_averages_what_the_network_returns():
    result = SlidingWindowInferer([4, 4], [2, 2], softmax=False)(torch.ones(1, 1, 6, 6), lambda w: 5 * w)
    torch.testing.assert_close(result, torch.full((1, 1, 6, 6), 5.0))


def test_amp_reaches_the_network_and_the_result_stays_float32(monkeypatch):
    monkeypatch.setattr("common.precision.bfloat16_speedup", lambda: 0.1)
    seen, layer = [], nn.Conv2d(1, 2, 3, padding=1)

    def network(windows):
        output = layer(windows)
        seen.append(output.dtype)
        return output

    types = {True: torch.bfloat16, "float16": torch.float16, False: torch.float32, "auto": torch.float32}
    for amp, dtype in types.items():
        seen.clear()
        assert SlidingWindowInferer([8, 8], [8, 8], amp=amp)(torch.randn(1, 1, 8, 8), network).dtype == torch.float32
        assert set(seen) == {dtype}


@pytest.mark.parametrize("channels_last", [True, False])
def test_windows_are_laid_out_as_asked(channels_last):
    layouts = []

    def network(windows):
        layouts.append(windows.is_contiguous(memory_format=torch.channels_last_3d))
        return windows

    inferer = SlidingWindowInferer([4, 4, 4], [4, 4, 4], channels_last=channels_last)
    inferer(torch.randn(1, 2, 8, 4, 4), network)
    assert set(layouts) == {channels_last}


@pytest.mark.parametrize("stride", [(0, 4), (4, 9), (4,), (-1, 4), "quick"])
def test_impossible_strides_are_refused(stride):
    with pytest.raises(ValueError, match="stride"):
        SlidingWindowInferer((8, 8), stride)


@pytest.mark.parametrize(("factor", "windows"), [(1, 9), (2, 4), (100, 4), (0.5, 25)])
def test_the_factor_widens_the_stride_up_to_the_window(factor, windows):
    seen = []

    def network(x):
        seen.append(len(x))
        return x

    SlidingWindowInferer((4, 4), (2, 2), softmax=False, stride_factor=factor)(torch.zeros(1, 1, 8, 8), network)
    assert sum(seen) == windows


def test_an_unknown_number_type_is_refused_at_once():
    with pytest.raises(InputError, match="amp must be one of"):
        SlidingWindowInferer((8, 8), (4, 4), amp="half")


def test_windows_reach_strided_pointwise_layers_of_few_channels_in_the_default_layout():
    network, seen = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 8, 1, stride=2)), []
    network[1].register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0].is_contiguous()))
    inferer = SlidingWindowInferer((8, 8), (8, 8), amp=False)
    with torch.no_grad():
        result = inferer(torch.randn(1, 1, 8, 8), network)
    assert result.shape[:2] == (1, 8) and seen == [True]


# ---- fast


@pytest.mark.parametrize(
    ("extents", "window", "count"),
    [((190, 140, 88), (112, 112, 80), 9), ((92, 71, 44), (64, 64, 32), 9), ((64, 64, 32), (64, 64, 32), 1),
     ((512, 512, 300), (112, 112, 80), 313), ((70, 64), (64, 64), 4)],
)  # fmt: skip
def test_fast_windows_are_few_and_spread(extents, window, count):
    starts = spread_starts(extents, window)
    assert len(starts) == len(set(starts)) == count
    for axis, (extent, side) in enumerate(zip(extents, window)):
        places = sorted(start[axis] for start in starts)
        assert places[0] >= 0 and places[-1] <= extent - side
        gaps = [b - a for a, b in zip([0, *places], [*places, extent - side])]
        assert max(gaps) <= max(0.35 * (extent - side), 3)


def test_the_sequence_is_that_of_roberts():
    starts = spread_starts((1000, 1000), (100, 100))
    root = 1.32471795724474602596  # of x ** 3 = x + 1
    wanted = [((0.5 + n / root) % 1, (0.5 + n / root**2) % 1) for n in range(1, 10)]
    assert starts[:9] == [tuple(round(900 * share) for share in row) for row in wanted]


def test_fast_is_the_mean_over_its_windows():
    torch.manual_seed(0)
    network, image = VNet(base_channels=2).eval(), torch.randn(2, 1, 40, 33, 20)
    network.head.bias.data[0] += 10  # nothing is found, so that no windows are added
    window = (32, 32, 16)
    with torch.no_grad():
        found = SlidingWindowInferer(window, "fast", amp=False, sw_batch_size=3)(image, network)
        total, visits = torch.zeros(2, 2, 40, 33, 20), torch.zeros(40, 33, 20)
        for start in spread_starts((40, 33, 20), window):
            place = (..., *(slice(s, s + side) for s, side in zip(start, window)))
            total[place] += network(image[place]).softmax(dim=1)
            visits[place[1:]] += 1
    seen = visits > 0
    assert 0.6 < seen.float().mean() < 1
    torch.testing.assert_close(found[..., seen], (total / visits.clamp(min=1))[..., seen], atol=1e-5, rtol=0)


def test_fast_pads_a_small_volume_as_other_strides_do():
    network, image = VNet(base_channels=2).eval(), torch.randn(1, 1, 20, 33, 9)
    with torch.no_grad():
        found, wanted = (
            SlidingWindowInferer((32, 48, 16), stride, amp=False)(image, network) for stride in ("fast", (32, 48, 16))
        )
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)


def bright(windows):
    """Foreground where the image is bright."""
    return torch.cat([1 - windows, windows], dim=1)


@pytest.mark.parametrize(("corner", "found"), [((38, 38), True), ((1, 1), True)])
def test_what_lies_at_a_corner_that_no_window_saw_is_found_if_it_reaches_in(corner, found):
    image = torch.zeros(1, 1, 40, 40)
    image[..., min(corner[0], 20) : max(corner[0], 20), min(corner[1], 20) : max(corner[1], 20)] = 1
    result = SlidingWindowInferer((16, 16), "fast", softmax=False, channels_last=False)(image, bright)
    assert torch.equal(result[:, 1:], image) is found
    torch.testing.assert_close(result.sum(dim=1), torch.ones(1, 40, 40))


def test_voxels_that_no_window_saw_are_background():
    starts = spread_starts((40, 40), (16, 16))
    visits = torch.zeros(40, 40)
    for row, column in starts:
        visits[row : row + 16, column : column + 16] += 1
    assert 0 < (visits == 0).sum() < 400
    result = SlidingWindowInferer((16, 16), "fast", softmax=False, channels_last=False)(
        torch.zeros(1, 1, 40, 40), bright
    )
    assert torch.equal(result[0, 0], torch.ones(40, 40)) and not result[0, 1].any()
