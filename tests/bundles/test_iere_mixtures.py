"""IERE: what is pasted into what, and how labels and pseudo-labels count."""

import pytest
import torch
from iere import RandomResizedCrop2D
from torch import nn

from common.transforms import Batch

from .test_iere_objective import SIZE, objective_of


def part(logits, label, where):
    """Dice plus cross-entropy inside a mask, written out."""
    p, total, m = logits.softmax(1), 0.0, where.float()
    for b in range(len(p)):
        for k in range(p.shape[1]):
            g = (label[b] == k).float()
            total += 1 - (2 * (m * p[b, k] * g).sum() + 1e-5) / ((m * p[b, k]).sum() + (m * g).sum() + 1e-5)
    entropies = -p.log().gather(1, label.unsqueeze(1)).squeeze(1) * m
    return total / (len(p) * p.shape[1]) + entropies.sum() / (m.sum() * len(p))


@pytest.mark.parametrize("trusted", [None, 0.3])
def test_pseudo_labels_count_half_and_labels_whole_in_both_mixtures(trusted):
    p_in, p_out = torch.randn(2, 2, 8, 8), torch.randn(2, 2, 8, 8)
    label, pseudo = torch.randint(0, 2, (4, 8, 8)), torch.randint(0, 2, (4, 8, 8))
    box = torch.zeros(8, 8, dtype=torch.bool)
    box[2:7, 1:5] = True
    (y_a, y_b), (q_a, q_b), alpha = label.chunk(2), pseudo.chunk(2), 0.5 * (trusted or 1.0)
    of_labels = part(p_in, y_a, ~box) + part(p_out, y_b, box)
    of_pseudo_labels = part(p_in, q_a, box) + part(p_out, q_b, ~box)
    trust = None if trusted is None else torch.full((4,), trusted)
    loss = objective_of(alpha=0.5).copy_paste(p_in, p_out, label, pseudo, box.expand(2, 1, 8, 8), trust)
    torch.testing.assert_close(loss, (of_labels + alpha * of_pseudo_labels) / 2)


def test_trust_belongs_to_the_image_whose_pseudo_label_it_is():
    objective, box = objective_of(), torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    box[..., 2:6, 2:6] = True
    label, pseudo = torch.randint(0, 2, (2, 8, 8)), torch.randint(0, 2, (2, 8, 8))
    p_in, p_out = torch.randn(1, 2, 8, 8, requires_grad=True), torch.randn(1, 2, 8, 8, requires_grad=True)
    objective.copy_paste(p_in, p_out, label, pseudo, box, torch.tensor([0.0, 1.0])).backward()
    assert (p_in.grad.abs().sum(1) > 0).equal(~box[:, 0]) and (p_out.grad.abs().sum(1) > 0).all()


def test_images_and_labels_are_pasted_alike():
    """Labeled outside and unlabeled inside the square in one mixture, the other way round in the second."""
    objective, seen, labels = objective_of(classes=4), [], []
    objective.augment = RandomResizedCrop2D([SIZE, SIZE], area=(1.0, 1.0), flip=0.0, contrast_probability=0.0)
    objective.network.encoder.conv1.register_forward_pre_hook(lambda module, x: seen.append(x[0].detach()))
    objective.ir.register_forward_pre_hook(lambda module, x: labels.append(x[1]))
    nn.init.zeros_(objective.teacher.head.weight)
    objective.teacher.head.bias.data = torch.tensor([0.0, 0.0, 0.0, 1.0])  # pseudo-labels of class 3
    image = torch.tensor([1.0, 2.0, 5.0, 6.0]).view(4, 1, 1, 1).expand(-1, 1, SIZE, SIZE).clone()
    label = torch.tensor([1, 2], dtype=torch.uint8).view(2, 1, 1, 1).expand(-1, 1, SIZE, SIZE).clone()
    objective(Batch(image, label, (0, 1, 0, 1)), 1)
    square = seen[-2] == 5.0
    assert square.float().mean().item() == pytest.approx(0.4356, abs=0.02)
    for shown, (outside, inside) in zip((*seen[-2:], *labels), ((1, 5), (6, 2), (1, 3), (3, 2)), strict=True):
        assert torch.equal(shown.view_as(square), torch.where(square, inside, outside).to(shown.dtype))
