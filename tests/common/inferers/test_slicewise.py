import pytest
import torch
from torch import nn

from common.errors import InputError
from common.inferers import SliceWiseInferer
from common.transforms import resize_nearest


def pointwise(classes=3):
    return nn.Conv2d(1, classes, 1)


def test_every_slice_is_segmented_on_its_own():
    network, volume = nn.Conv2d(1, 2, 3, padding=1), torch.randn(2, 1, 8, 8, 5)
    with torch.no_grad():
        result = SliceWiseInferer([8, 8], amp=False)(volume, network)
        for b in range(2):
            for z in range(5):
                expected = network(volume[b : b + 1, ..., z]).softmax(1)[0]
                torch.testing.assert_close(result[b, ..., z], expected)


def test_images_count_as_one_slice():
    network, image = pointwise(), torch.randn(2, 1, 6, 10)
    result = SliceWiseInferer([8, 8], amp=False)(image, network)
    torch.testing.assert_close(result, SliceWiseInferer([8, 8], amp=False)(image[..., None], network)[..., 0])
    assert result.shape == (2, 3, 6, 10)


def test_network_works_at_the_given_size_on_limited_batches():
    shapes = []

    def network(slices):
        shapes.append(tuple(slices.shape))
        return slices

    SliceWiseInferer([16, 8], batch_size=4)(torch.randn(2, 1, 10, 12, 5), network)
    assert shapes == [(4, 1, 16, 8), (4, 1, 16, 8), (2, 1, 16, 8)]


def test_arg_max_commutes_with_resizing_back():
    network, volume = pointwise(4), torch.randn(1, 1, 11, 14, 3)
    with torch.no_grad():
        maps = SliceWiseInferer([32, 32], amp=False)(volume, network)
        for z in range(3):
            small = network(resize_nearest(volume[..., z], (32, 32))).argmax(1, keepdim=True)
            assert torch.equal(maps.argmax(1)[0, ..., z], resize_nearest(small, (11, 14))[0, 0])


def test_pointwise_networks_are_unharmed_by_enlarging_and_shrinking():
    network, volume = pointwise(), torch.randn(1, 1, 5, 7, 2)
    with torch.no_grad():
        expected = torch.stack([network(volume[..., z]).softmax(1) for z in range(2)], dim=-1)
        torch.testing.assert_close(SliceWiseInferer([10, 21], amp=False)(volume, network), expected)


def test_softmax_off_returns_what_the_network_returns():
    result = SliceWiseInferer([4, 4], softmax=False)(torch.ones(1, 1, 4, 4, 2), lambda s: 5 * s)
    assert (result == 5).all()


@pytest.mark.parametrize(("amp", "dtype"), [(True, torch.bfloat16), ("float16", torch.float16), (False, torch.float32)])
def test_amp_reaches_the_network_and_the_result_stays_float32(amp, dtype):
    seen, layer = [], pointwise()

    def network(slices):
        seen.append(layer(slices).dtype)
        return layer(slices)

    result = SliceWiseInferer([4, 4], amp=amp)(torch.randn(1, 1, 4, 4, 2), network)
    assert seen == [dtype]
    assert result.dtype == torch.float32


def test_linear_resampling_takes_logits_of_any_size():
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.AvgPool2d(4))
    image = torch.rand(1, 1, 24, 20)
    result = SliceWiseInferer([16, 16], resample="antialias", amp=False)(image, network)
    small = torch.nn.functional.interpolate(image, size=(16, 16), mode="bilinear", antialias=True)
    logits = torch.nn.functional.interpolate(network(small), size=(24, 20), mode="bilinear")
    torch.testing.assert_close(result, logits.softmax(dim=1))


@pytest.mark.parametrize("batch_size", [1, 3, 4])
def test_slices_come_back_in_their_places_from_several_batches(batch_size):
    volume = torch.arange(10.0).view(2, 1, 1, 1, 5).expand(-1, -1, 4, 6, -1).clone()
    result = SliceWiseInferer([4, 6], batch_size=batch_size, softmax=False)(volume, lambda slices: 2 * slices)
    assert torch.equal(result, 2 * volume)


@pytest.mark.parametrize(("speedup", "dtype"), [(0.1, torch.float32), (3.0, torch.bfloat16)])
def test_the_machine_chooses_by_default(speedup, dtype, monkeypatch):
    monkeypatch.setattr("common.precision.bfloat16_speedup", lambda: speedup)
    seen, layer = [], pointwise()
    SliceWiseInferer([4, 4])(torch.randn(1, 1, 4, 4), lambda slices: seen.append(layer(slices).dtype) or slices)
    assert seen == [dtype]


def test_an_unknown_number_type_is_refused_at_once():
    with pytest.raises(InputError, match="amp must be one of"):
        SliceWiseInferer([4, 4], amp="half")
