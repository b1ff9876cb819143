import pytest
import torch

from common.transforms import MixUp


def test_mixture_by_hand():
    image, partner = torch.tensor([[[10.0]], [[20.0]]]), torch.tensor([[[100.0]], [[200.0]]])
    mixed = MixUp().apply(image, partner, torch.tensor([0.75, 0.5]), torch.tensor([1, 0]))
    assert mixed.flatten().tolist() == [0.75 * 10 + 0.25 * 200, 0.5 * 20 + 0.5 * 100]


@pytest.mark.parametrize("shape", [(2, 3), (1, 4, 4), (1, 4, 4, 4)])
def test_weight_one_keeps_the_image_in_any_dimension(shape):
    image = torch.randn(2, *shape)
    mixed = MixUp().apply(image, torch.randn(3, *shape), torch.ones(2), torch.tensor([0, 2]))
    assert torch.equal(mixed, image)


def test_image_keeps_the_larger_share_with_the_published_mean():
    weights, _ = MixUp(0.75).draw(20_000, 4)
    assert weights.min() >= 0.5
    assert weights.max() <= 1
    assert weights.mean().item() == pytest.approx(0.78, abs=0.01)


@pytest.mark.parametrize(("count", "partners"), [(4, 4), (6, 3), (5, 2), (2, 7)])
def test_every_partner_is_used_as_often_as_any(count, partners):
    _, index = MixUp().draw(count, partners)
    uses = torch.bincount(index, minlength=partners)
    assert len(index) == count
    assert uses.max() - uses.min() <= 1


def test_partners_are_shuffled():
    orders = {tuple(MixUp().draw(4, 4)[1].tolist()) for _ in range(50)}
    assert len(orders) > 10


def test_call_draws_and_applies():
    image, partner = torch.randn(3, 1, 4, 4), torch.randn(2, 1, 4, 4)
    torch.manual_seed(8)
    mixed = MixUp(0.4)(image, partner)
    torch.manual_seed(8)
    weight, index = MixUp(0.4).draw(3, 2)
    torch.testing.assert_close(mixed, MixUp().apply(image, partner, weight, index))


@pytest.mark.parametrize("alpha", [0.0, -1.0])
def test_alpha_must_be_positive(alpha):
    with pytest.raises(ValueError, match="positive"):
        MixUp(alpha)
