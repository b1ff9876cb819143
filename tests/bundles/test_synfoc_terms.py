"""SynFoC: the weight of the U-Net in the pseudo-label and the losses."""

import numpy as np
import pytest
import torch
from synfoc import ConsensusDivergence, SelfMutualConfidence, masked_loss, overlap
from torch.nn import functional as F

ONE = [[1]]
NESTED = [[1], [1, 2]]


def maps(*values):
    return torch.tensor(values)


# ---- self-mutual confidence


def test_overlap_of_known_maps():
    full, empty = maps([1, 1, 0, 0]), maps([0, 0, 0, 0])
    assert overlap(full, full, ONE) == pytest.approx(5 / 5.001)
    assert overlap(empty, empty, ONE) == 1
    assert overlap(full, maps([0, 0, 1, 1]), ONE) == pytest.approx(1 / 5.001)
    many = torch.ones(1, 500, dtype=torch.long)
    assert overlap(torch.cat([many, 0 * many], 1), torch.cat([0 * many, many], 1), ONE) < 0.002


def test_nested_parts_are_compared_as_wholes():
    a, b = maps([1, 2, 0]), maps([2, 1, 0])
    cup, disc = 1 / 3.001, 5 / 5.001
    assert overlap(a, b, NESTED) == pytest.approx((cup + disc) / 2)
    assert overlap(a, b, [[1], [2]]) == pytest.approx(cup)


def numpy_dice(a, b):
    if a.sum() + b.sum() == 0:
        return 1.0
    return (2 * np.logical_and(a, b).sum() + 1) / (a.sum() + b.sum() + 1.001)


def test_weight_of_a_batch_equals_a_loop():
    student, unet = torch.randint(0, 4, (2, 3, 16, 16))
    unet[0] = 0
    sam = torch.randint(0, 4, (3, 8, 8))
    alpha = SelfMutualConfidence([[1], [2], [3]])(student, unet, sam, step=1)
    for i in range(3):
        small = unet[i].numpy()[1::2, 1::2]  # nearest: the center of each cell
        own = np.mean([numpy_dice(student[i].numpy() == k, unet[i].numpy() == k) for k in (1, 2, 3)])
        mutual = np.mean([numpy_dice(small == k, sam[i].numpy() == k) for k in (1, 2, 3)])
        assert float(alpha[i]) == pytest.approx(own * mutual, abs=1e-6)
    assert alpha.dtype == torch.float32


def test_modes_of_the_weight():
    student, unet, sam = maps([[1, 1], [0, 0]]), maps([[1, 0], [0, 0]]), maps([[1, 1], [1, 0]])
    own, mutual = overlap(student, unet, ONE), overlap(unet, sam, ONE)
    expected = {"smc": own * mutual, "self": own, "mutual": mutual, "constant": 0.3, "linear": 0.25}
    for mode, value in expected.items():
        weigh = SelfMutualConfidence(ONE, mode, value=0.3, iterations=40)
        assert weigh(student if weigh.needs_student else None, unet, sam, step=11) == pytest.approx(float(value))
    with pytest.raises(ValueError, match="mode must be one of"):
        SelfMutualConfidence(ONE, "mean")


# ---- losses


@pytest.mark.parametrize("mask_background", [True, False])
def test_masked_loss_equals_the_written_formula(mask_background):
    logits, target = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 1, 4, 5))
    mask = torch.rand(2, 1, 4, 5) > 0.4
    p, ce, dice = logits.softmax(1), 0.0, []
    for b in range(2):
        for y in range(4):
            for x in range(5):
                ce -= float(mask[b, 0, y, x]) * p[b, target[b, 0, y, x], y, x].log()
    for k in range(3):
        w = mask[:, 0].float() if k or mask_background else torch.ones(2, 4, 5)
        is_k = (target[:, 0] == k).float()
        top, bottom = (w * p[:, k] * is_k).sum(), (w * p[:, k] ** 2).sum() + (w * is_k**2).sum()
        dice.append(1 - (2 * top + 1e-5) / (bottom + 1e-5))
    expected = ce / 40 + sum(dice) / 3
    torch.testing.assert_close(masked_loss(logits, target, mask, mask_background), expected)


def test_no_mask_is_a_full_mask():
    logits, target = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 1, 4, 5))
    everywhere = torch.ones(2, 1, 4, 5, dtype=torch.bool)
    torch.testing.assert_close(masked_loss(logits, target), masked_loss(logits, target, everywhere))


def test_identical_networks_do_not_diverge_and_certain_ones_have_no_entropy():
    logits = torch.randn(2, 3, 8, 8)
    terms = ConsensusDivergence()(logits, logits)
    assert terms["divergence"] == 0 and terms["agreement"] == 1 and terms["consensus"] > 0
    p = logits.softmax(1)
    torch.testing.assert_close(terms["consensus"], 2 * (-p * p.log()).mean())
    torch.testing.assert_close(ConsensusDivergence(half=True)(logits, logits)["consensus"], (-p * p.log()).mean())
    assert ConsensusDivergence()(1e6 * logits, 1e6 * logits)["consensus"] == pytest.approx(0, abs=1e-6)


def test_consensus_and_divergence_share_the_pixels():
    sam = torch.tensor([[4.0, -4.0], [-4.0, 4.0]]).view(1, 2, 1, 2).requires_grad_()  # classes 0 and 1
    unet = torch.zeros(1, 2, 2, 4)
    unet[:, 0] = 2.0  # class 0 everywhere
    unet.requires_grad_()
    terms = ConsensusDivergence()(sam, unet)
    p, q = sam.softmax(1), unet.softmax(1)
    assert terms["agreement"] == 0.5
    torch.testing.assert_close(terms["divergence"], ((p[0, :, 0, 1] - q[0, :, 0, 2]) ** 2).mean() / 2)
    entropies = (-p * p.log())[..., 0].sum() / 4 + (-q * q.log())[..., :2].sum() / 16
    torch.testing.assert_close(terms["consensus"], entropies)
    (at_sam, at_unet) = torch.autograd.grad(terms["divergence"], (sam, unet), retain_graph=True)
    assert (at_sam[..., 1] != 0).all() and (at_sam[..., 0] == 0).all()
    assert (at_unet[..., 2:] != 0).all() and (at_unet[..., :2] == 0).all()
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(terms["consensus"], (sam, unet)))


@pytest.mark.parametrize(
    ("mode", "names"),
    [("cdcr", {"consensus", "divergence"}), ("consensus", {"consensus"}), ("divergence", {"divergence"}),
     ("cr", {"divergence"}), ("none", set())],
)  # fmt: skip
def test_modes_of_the_regulariser(mode, names):
    sam, unet = torch.randn(1, 2, 4, 4), torch.randn(1, 2, 8, 8)
    terms = ConsensusDivergence(mode)(sam, unet)
    assert set(terms) - {"agreement"} == names
    if mode == "cr":
        up = F.interpolate(sam.softmax(1), scale_factor=2, mode="nearest")
        torch.testing.assert_close(terms["divergence"], (up - unet.softmax(1)).square().mean())
