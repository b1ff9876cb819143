import torch

from common.data import ClassesForDice


def test_maps_are_compared_at_the_asked_size():
    label = torch.zeros(1, 4, 6)
    label[0, 1:3, 2:5] = 1
    scores = torch.cat([1 - label, label])
    for size in (None, (8, 12)):
        maps = ClassesForDice(2, size=size)({"pred": scores, "label": label})
        for key in ("pred", "label"):
            assert maps[key].shape == (2, *(size or (4, 6)))
            assert maps[key][1].sum() == 6 * (1 if size is None else 4)


def test_small_components_of_the_prediction_alone_are_removed():
    label = torch.zeros(1, 6, 6)
    label[0, :2, :2] = label[0, 5, 5] = 1
    maps = ClassesForDice(2, largest_component=True)({"pred": torch.cat([1 - label, label]), "label": label})
    assert maps["pred"][1].sum() == 4 and maps["label"][1].sum() == 5
