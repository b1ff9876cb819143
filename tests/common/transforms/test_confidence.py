import numpy as np
import torch

from common.metrics import confidence_of
from common.transforms import ConfidenceSumsd


def test_sums_are_over_predicted_voxels_and_over_all_and_add_up():
    maps = torch.tensor([[0.7, 0.2, 0.1, 0.3], [0.2, 0.7, 0.3, 0.4], [0.1, 0.1, 0.6, 0.3]]).reshape(3, 2, 2)
    sums = ConfidenceSumsd("pred")({"pred": maps})["confidence"]
    np.testing.assert_allclose(sums, [[1.1, 2, 1.6], [0.6, 1, 1.1]], rtol=1e-6)
    parts = [ConfidenceSumsd("pred")({"pred": maps[..., k : k + 1]})["confidence"] for k in (0, 1)]
    np.testing.assert_allclose(sum(parts), sums, rtol=1e-6)


def test_the_promise_is_the_dice_of_labels_that_are_drawn_from_the_probabilities():
    generator = torch.Generator().manual_seed(0)
    own = torch.rand(40, 40, 20, generator=generator) ** 2
    maps = torch.stack([1 - own, own])
    promised = confidence_of(ConfidenceSumsd("pred")({"pred": maps})["confidence"].numpy())[0]
    label = torch.rand(own.shape, generator=generator) < own
    found = own > 0.5
    assert abs(promised - float(2 * (found & label).sum() / (found.sum() + label.sum()))) < 0.01
