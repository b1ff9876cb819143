"""IERE: what the published code does otherwise, as options."""

import pytest
import torch
from iere import Views
from torch.nn import functional as F

from .test_iere_objective import batch_of, objective_of
from .test_iere_sam import IDENTITY, answer, sam_of, shapes


@pytest.mark.parametrize(("ties", "expected"), [("background", [0, 0, 1, 0]), ("foreground", [1, 0, 1, 2])])
def test_equal_probabilities_are_background_or_the_class(ties, expected):
    objective = objective_of(classes=3, ties=ties, cc_filter="none")
    logits = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.9, 0.0], [0.5, 1.0, 0.0], [2.0, 1.0, 2.0]])
    assert objective.pseudo_label(logits.T[None, :, None])[0, 0].tolist() == expected


def test_whole_unlabeled_images_are_supervised_where_a_weight_asks_for_it():
    torch.manual_seed(1)
    plain, more = objective_of(), objective_of()
    more.weights["unlabeled"] = 0.5
    batch = batch_of()
    assert "unlabeled" not in plain(batch, 1)
    terms = more(batch, 1)
    others = {name: value for name, value in terms.items() if name != "unlabeled"}
    torch.testing.assert_close(more.total(terms, 1), more.total(others, 1) + 0.5 * terms["unlabeled"])
    found = torch.autograd.grad(terms["unlabeled"], [more.network.head.weight, more.teacher.head.weight],
                                allow_unused=True)  # fmt: skip
    assert found[0].abs().sum() > 0 and found[1] is None


def test_sam_sees_the_slice_or_the_augmented_crop():
    image, crops, pseudo = torch.rand(4, 1, 64, 64), torch.rand(4, 1, 64, 64), shapes()
    for view, seen in (("slice", image), ("crop", crops)):
        torch.manual_seed(5)
        teacher = sam_of(view=view, cache={"slice": "off", "crop": "ram"}[view])  # crops are never kept
        label, _ = answer(teacher, image, pseudo, crops=crops)
        assert torch.equal(label, teacher.refiner(seen, pseudo).label)


def test_boxes_may_be_those_of_logits_at_the_size_of_sams_input():
    small, image = 40, torch.rand(4, 1, 40, 40)
    logits = F.interpolate(torch.randn(4, 3, 7, 7), size=(small, small), mode="bilinear")
    pseudo = logits.argmax(1)
    torch.manual_seed(5)
    teacher = sam_of(view="crop", box_from="upsampled", cache="off")
    asked, prompts = [], teacher.refiner.prompts
    teacher.refiner.prompts = lambda *prompt, **options: asked.append(prompts(*prompt, **options)) or asked[-1]
    label, _ = teacher.labels(Views(image, image, IDENTITY, range(4)), pseudo, logits)
    large = F.interpolate(logits, size=(64, 64), mode="bilinear").argmax(1)
    boxes, valid = asked[0]
    for n in range(4):
        for group in range(2):
            rows, columns = torch.where(large[n] == group + 1)
            if valid[n, group, 0]:
                tight = torch.stack([columns.min(), rows.min(), columns.max(), rows.max()]).float()
                assert (boxes[n, group, 0] - tight).abs().max() <= 1  # sides are at least one pixel
    assert label.shape == pseudo.shape and valid.any()
