"""Slices that keep their pixels: what is cut from them in training, and put together again in inference."""

import pytest
import torch
from torch import nn

from common.errors import InputError
from common.inferers import SliceWiseInferer, WindowsOfSlices, make_inferer
from common.transforms import RandomPatch, ResizedSlice, make_sample


def test_windows_give_every_pixel_what_the_network_gives_it_and_leave_the_grid_alone():
    network = nn.Conv2d(1, 2, 1)
    inferer = make_inferer([16, 16], [56, 56, 40], amp=False, slice_fit="patch")
    for shape in ((1, 1, 40, 23, 5), (2, 1, 9, 30, 3), (1, 1, 40, 23)):
        x = torch.randn(shape)
        wanted = network(x if x.dim() == 4 else x.movedim(-1, 1).flatten(0, 1)).softmax(1)
        if x.dim() == 5:
            wanted = wanted.unflatten(0, (len(x), shape[-1])).movedim(1, -1)
        torch.testing.assert_close(inferer(x, network), wanted)


def test_small_slices_are_padded_and_not_stretched():
    seen = []

    def network(x):
        seen.append(x)
        return x.repeat(1, 2, 1, 1)

    make_inferer([16, 16], [8, 8], amp=False, slice_fit="patch")(torch.ones(1, 1, 8, 12, 2), network)
    assert seen[0].shape == (2, 1, 16, 16) and seen[0][0].sum() == 8 * 12


def test_how_slices_fit_decides_samples_and_windows():
    assert isinstance(make_sample([32, 32]), ResizedSlice) and isinstance(make_sample([32, 32, 16]), RandomPatch)
    sample = make_sample([32, 16], slice_fit="patch")
    case = {"image": torch.randn(1, 20, 40), "label": torch.ones(1, 20, 40, dtype=torch.uint8)}
    cut = sample(case, torch.Generator().manual_seed(0))
    assert cut["image"].shape == (1, 32, 16) and cut["label"].sum() == 20 * 16
    assert type(make_inferer([32, 32], [8, 8])) is SliceWiseInferer
    assert make_inferer([32, 32], [16, 8], slice_fit="patch").overlap[1] > 0.7
    assert isinstance(make_inferer([32, 32], "fast", slice_fit="patch"), WindowsOfSlices)
    for make in (
        lambda: make_sample([32, 32], slice_fit="squeeze"),
        lambda: make_inferer([8, 8], [4, 4], slice_fit="x"),
    ):
        with pytest.raises(InputError, match="slice_fit"):
            make()
