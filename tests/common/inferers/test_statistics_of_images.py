import pytest
import torch
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator
from torch import nn

from common.errors import InputError
from common.inferers import AdaptStatistics, SliceWiseInferer, SlidingWindowInferer, adapt_statistics
from common.inferers.statistics import mixed

BRIGHT, DARK = 4.0, -1.0


def network(dims=2):
    conv, norm = (nn.Conv2d, nn.BatchNorm2d) if dims == 2 else (nn.Conv3d, nn.BatchNorm3d)
    return nn.Sequential(norm(1), conv(1, 2, 1))


def cases():
    generator = torch.Generator().manual_seed(1)
    levels = [("bright", BRIGHT), ("dark", DARK), ("bright", BRIGHT + 1)]
    return [{"image": torch.randn(1, 8, 8, generator=generator) * 0.1 + v, "domain": d} for d, v in levels]


def means_seen(statistics, unlabeled=()):
    """Running mean with which each of three cases is segmented."""
    model, seen = network(), []

    class Watched(SliceWiseInferer):
        def __call__(self, inputs, network):
            seen.append(float(model[0].running_mean))
            return super().__call__(inputs, network)

    inferer = Watched((8, 8), amp=False)
    handler = AdaptStatistics(model, statistics, inferer, unlabeled)
    evaluator = SupervisedEvaluator(
        "cpu", DataLoader(cases(), batch_size=1), model, inferer=inferer, val_handlers=[handler]
    )
    evaluator.run()
    return pytest.approx(seen, abs=0.1)


def test_each_choice_takes_other_images():
    assert means_seen("trained") == [0, 0, 0]
    assert means_seen("all") == [(2 * BRIGHT + 1 + DARK) / 3] * 3
    assert means_seen("domain") == [BRIGHT + 0.5, DARK, BRIGHT + 0.5]
    assert means_seen("case") == [BRIGHT, DARK, BRIGHT + 1]
    training = [{"image": torch.full((1, 8, 8), v), "domain": d} for d, v in (("dark", 7.0), ("bright", 9.0))]
    assert means_seen("unlabeled", training) == [9, 7, 9]


def test_windows_of_volumes():
    model = network(3)
    adapt_statistics(model, [torch.full((1, 8, 8, 8), 3.0)], SlidingWindowInferer((4, 4, 4), (4, 4, 4), amp=False))
    assert model[0].running_mean.item() == pytest.approx(3)


@pytest.mark.parametrize("dims", [2, 3])
def test_every_channel_has_statistics_of_its_own(dims):
    norm = (nn.BatchNorm2d if dims == 2 else nn.BatchNorm3d)(2)
    image = torch.stack([torch.full((8,) * dims, 3.0), torch.full((8,) * dims, -1.0)])
    inferer = SliceWiseInferer((8, 8), amp=False) if dims == 2 else SlidingWindowInferer((4,) * 3, (4,) * 3, amp=False)
    adapt_statistics(nn.Sequential(norm), [image], inferer)
    assert norm.running_mean.tolist() == pytest.approx([3, -1])


def test_slices_are_mixed_into_batches_of_equal_size():
    parts = [torch.arange(20.0).view(20, 1), torch.arange(20.0, 41.0).view(21, 1)]
    batches = mixed(parts)
    assert [len(batch) for batch in batches] == [14, 14, 13]
    assert sorted(torch.cat(batches).flatten().tolist()) == list(range(41)) and mixed([]) == []


def test_what_cannot_be_adapted_is_said():
    inferer = SliceWiseInferer((8, 8), amp=False)
    with pytest.raises(InputError, match="no batch norm"):
        adapt_statistics(nn.Conv2d(1, 1, 1), [torch.ones(1, 8, 8)], inferer)
    with pytest.raises(InputError, match="there are no images"):
        adapt_statistics(network(), [], inferer)
    with pytest.raises(InputError, match="statistics=unlabeled: there are no such images of domain bright"):
        means_seen("unlabeled")
    with pytest.raises(ValueError, match="statistics must be one of"):
        AdaptStatistics(network(), "other", inferer)
