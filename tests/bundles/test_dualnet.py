"""DualNet: the acceptance tests of its equations."""

import json
import math
from itertools import product

import numpy as np
import pytest
import torch
from dualnet import (
    ConsistencyCorrection,
    CosineConsistency,
    CrossPseudoSupervision,
    DualNetObjective,
    EntropyFilteredSupervision,
    PrototypeGuidedLearning,
    ResNetVNet,
    UncertaintyEnhancement,
)
from dualnet.prototypes import distance
from dualnet.pseudo_labels import joint_label, percentile
from monai.bundle import ConfigParser
from torch.nn import functional as F

from common.errors import find_explained
from common.losses import SupervisedLoss, entropy
from common.networks import UNet2D, VNet
from common.transforms import Batch
from tests.oracles.recorded import preset

from .conftest import BUNDLES

PARTS = ("cr", "cps", "efs", "ue", "pgl", "cosine")


def logits_of(foreground):
    """Two-class logits ``1, 2, n`` with these foreground probabilities."""
    p = torch.tensor(foreground).clamp(1e-6, 1 - 1e-6)
    return torch.stack([1 - p, p]).log().unsqueeze(0)


def batch_2d(classes=2, n=2):
    return Batch(torch.randn(2 * n, 1, 32, 32), torch.randint(0, classes, (n, 1, 32, 32), dtype=torch.uint8))


def objective_2d(only=None, classes=2, **choices):
    networks = [UNet2D(1, classes, base_channels=4), UNet2D(1, classes, base_channels=4)]
    terms = {name: {"enabled": only is None or name == only} for name in PARTS}
    for name, value in choices.items():
        terms[name] |= value
    return DualNetObjective(networks, SupervisedLoss("squared", 1.0, 1.0), terms).train()


CORRECTION = [
    {"mask": m, "target": t, "distance": d, "tau": 0.0}
    for m, t, d in product(("xor", "or"), ("peer", "label"), ("mse", "kl"))
]
FILTER = [
    {"target": t, "norm": n} for t, n in product(EntropyFilteredSupervision.TARGETS, EntropyFilteredSupervision.NORMS)
]
ENHANCEMENT = [{"target": t, "scope": s} for t in ("soft", "hard") for s in ("all", "unlabeled")]
PROTOTYPES = [
    {"reliable": r, "proto_term": p} for r, p in product(("agree_and_low", "not_both_high"), ("plus", "none", "margin"))
]
CHOICES = [
    *(("cr", choice) for choice in CORRECTION), ("cps", {"threshold": None}), ("cps", {"threshold": 0.6}),
    *(("efs", choice) for choice in FILTER), *(("ue", choice) for choice in ENHANCEMENT),
    *(("pgl", choice) for choice in PROTOTYPES), ("cosine", {}),
]  # fmt: skip


@pytest.mark.parametrize(("term", "choice"), CHOICES, ids=[f"{t}-{'-'.join(map(str, c.values()))}" for t, c in CHOICES])
@pytest.mark.parametrize("classes", [2, 4])
def test_every_term_alone_trains_both_networks(term, choice, classes):
    objective = objective_2d(term, classes, **{term: choice})
    terms = objective(batch_2d(classes), 1)
    first = [next(network.encoder.parameters()) for network in objective.networks]
    gradients = torch.autograd.grad(terms[term], first)
    assert all(torch.isfinite(g).all() and g.abs().sum() > 0 for g in gradients)


def test_disabled_terms_are_absent():
    terms = objective_2d("cps")(batch_2d(), 1)
    assert {"supervised", "cps"} == set(terms) & set(DualNetObjective.TERMS)


@pytest.mark.parametrize(
    ("a", "b", "xor", "either"),
    [
        (0.9, 0.1, True, True),
        (0.1, 0.9, True, True),
        (0.9, 0.9, False, True),
        (0.1, 0.1, False, False),
        (0.55, 0.1, False, False),
    ],
)
def test_mask_truth_table(a, b, xor, either):
    p = [logits_of([v]).softmax(dim=1) for v in (a, b)]
    assert ConsistencyCorrection(mask="xor").disagreement(p, 1).item() is xor
    assert ConsistencyCorrection(mask="or").disagreement(p, 1).item() is either


def test_correction_is_the_squared_distance_where_one_is_confident_once_per_network():
    a, b = logits_of([0.9, 0.9, 0.2]), logits_of([0.3, 0.8, 0.1])
    loss = ConsistencyCorrection()((a, b), torch.tensor([[1, 1, 0]]))
    torch.testing.assert_close(loss, torch.tensor(2 * 0.6**2))
    to_label = ConsistencyCorrection(target="label")((a, b), torch.tensor([[1, 1, 0]]))
    torch.testing.assert_close(to_label, torch.tensor(0.1**2 + 0.7**2))


def test_empty_correction_mask_is_zero_with_a_graph():
    z = torch.zeros(1, 2, 4, requires_grad=True)
    loss = ConsistencyCorrection()((z, z), torch.zeros(1, 4, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0 and z.grad.abs().sum() == 0


def test_cross_pseudo_labels_follow_the_threshold():
    cps = CrossPseudoSupervision(threshold=0.6)
    assert cps.label(logits_of([0.55, 0.65])).tolist() == [[0, 1]]
    assert CrossPseudoSupervision(threshold=None).label(logits_of([0.55, 0.65])).tolist() == [[1, 1]]
    a, b = logits_of([0.9, 0.2]), logits_of([0.3, 0.8])
    expected = F.cross_entropy(a, torch.tensor([[0, 1]])) + F.cross_entropy(b, torch.tensor([[1, 0]]))
    torch.testing.assert_close(cps((a, b)), expected)


@pytest.mark.parametrize("alpha", [0, 30, 70, 100])
def test_percentile_is_a_nearest_rank(alpha):
    values = torch.randperm(1000).float()
    assert percentile(values, alpha).item() == max(0, math.ceil(alpha * 10) - 1)


@pytest.mark.parametrize("alpha", [0, 20, 33.3, 70, 100])
def test_linear_percentile_is_numpys(alpha):
    values = torch.randn(4, 333)
    expected = np.percentile(values.numpy(), alpha)
    assert percentile(values, alpha, "linear").item() == pytest.approx(expected, abs=1e-6)


def test_the_voxel_at_the_percentile_is_kept_or_dropped():
    z = logits_of([0.5, 0.7, 0.9])
    for limit, dropped in (("keep", [True, True, True]), ("drop", [False, True, True])):
        efs = EntropyFilteredSupervision(alpha=100, limit=limit)
        assert efs.valid((z, z)).tolist() == [dropped]


def test_filter_keeps_all_at_100_and_ties_at_0():
    a, b = torch.randn(2, 2, 50), torch.randn(2, 2, 50)
    efs = EntropyFilteredSupervision(alpha=100)
    target = joint_label((a, b))
    torch.testing.assert_close(efs((a, b))[0], F.cross_entropy(a, target) + F.cross_entropy(b, target))
    loss, share = EntropyFilteredSupervision(alpha=0)((a, b))
    assert torch.isfinite(loss) and 0 < share <= 2 / 100
    equal = torch.zeros(1, 2, 10)
    assert EntropyFilteredSupervision(alpha=30)((equal, equal))[1] == 1  # a plateau is kept


def test_filter_drops_voxels_where_both_are_uncertain():
    a, b = logits_of([0.5, 0.5, 0.99, 0.999]), logits_of([0.5, 0.99, 0.5, 0.999])
    assert EntropyFilteredSupervision(alpha=50).valid((a, b)).tolist() == [[False, True, True, True]]
    loss, share = EntropyFilteredSupervision(alpha=50)((a, b))
    official, _ = EntropyFilteredSupervision(alpha=50, norm="official")((a, b))
    torch.testing.assert_close(official, loss / share)


def test_union_is_foreground_if_either_says_so():
    assert joint_label((logits_of([0.9, 0.1, 0.1]), logits_of([0.1, 0.9, 0.1]))).tolist() == [[1, 1, 0]]
    three = torch.tensor([[[0.0], [2.0], [0.0]]]), torch.tensor([[[0.0], [0.0], [3.0]]])
    assert joint_label(three).tolist() == [[2]]  # of two foreground classes the more confident


def test_temperature_matters_for_soft_targets_only():
    pair = (torch.randn(1, 2, 20), torch.randn(1, 2, 20))
    soft = [UncertaintyEnhancement(temperature=t)(pair) for t in (0.5, 1.0)]
    hard = [UncertaintyEnhancement(temperature=t, target="hard")(pair) for t in (0.5, 1.0)]
    assert not torch.allclose(*soft) and torch.equal(*hard)


def test_equal_networks_pay_the_entropy_of_their_prediction():
    z = torch.randn(2, 3, 20)
    torch.testing.assert_close(UncertaintyEnhancement(temperature=1.0)((z, z)), 2 * entropy(z).mean())


def test_enhancement_equals_the_equation_voxel_by_voxel():
    a, b = torch.randn(1, 2, 6), torch.randn(1, 2, 6)
    total = 0.0
    for z, peer in ((a, b), (b, a)):
        for i in range(6):
            p, q, s = z[0, :, i].softmax(0), peer[0, :, i].softmax(0), (peer[0, :, i] / 0.5).softmax(0)
            d = (q * (q / p).log()).sum()
            total += (torch.exp(-d) * -(s * p.log()).sum() + d) / 6
    torch.testing.assert_close(UncertaintyEnhancement()((a, b)), total)
    one_way = UncertaintyEnhancement(direction="b_to_a")
    a.requires_grad_(), b.requires_grad_()
    one_way((a, b)).backward()
    assert a.grad.abs().sum() > 0 and b.grad is None


def test_prototype_loss_is_the_floor_when_all_features_are_equal():
    pair = (torch.randn(2, 2, 40), torch.randn(2, 2, 40))
    feature = torch.ones(2, 4, 40)
    loss, _ = PrototypeGuidedLearning(proto_term="none")(pair, (feature, feature), (torch.zeros(()),) * 2)
    assert loss <= 2.1 * 1e-4  # the square root is floored at 1e-4


def test_prototype_loss_equals_the_equation():
    a = logits_of([0.99, 0.98, 0.01, 0.02, 0.6, 0.4])
    f = torch.randn(1, 3, 6)
    pgl = PrototypeGuidedLearning(alpha=60)
    assert pgl.reliable_voxels((a, a)).tolist() == [[True, True, True, True, False, False]]
    rows = f[0].T
    fore, back = rows[:2].mean(0), rows[2:4].mean(0)
    expected = distance(rows[4], fore) + distance(rows[5], back) + distance(fore, back)
    torch.testing.assert_close(pgl((a, a), (f, f), (torch.zeros(()),) * 2)[0], expected)


@pytest.mark.parametrize("foreground", [[0.99] * 4, [0.01] * 4, [0.5] * 4])
def test_prototype_loss_is_finite_without_a_class(foreground):
    z = logits_of(foreground).requires_grad_()
    f = torch.randn(1, 3, 4, requires_grad=True)
    loss, _ = PrototypeGuidedLearning()((z, z), (f, f), (torch.zeros(()),) * 2)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(f.grad).all()


def test_published_prototypes_take_their_members_by_the_joint_label():
    a, b = logits_of([0.01, 0.02, 0.03, 0.45]), logits_of([0.99, 0.02, 0.98, 0.45])
    f = torch.randn(1, 3, 4)
    pgl = PrototypeGuidedLearning(alpha=99, reliable="not_both_high", percentile="linear")
    assert pgl.reliable_voxels((a, b)).tolist() == [[True, True, True, False]]
    rows = f[0].T
    fore, back = rows[[0, 2]].mean(0), rows[1]
    expected = distance(rows[3], back) + distance(fore, back)  # for both networks: neither calls voxel 3 foreground
    torch.testing.assert_close(pgl((a, b), (f, f), (torch.zeros(()),) * 2)[0], expected)


def test_the_loser_by_dice_may_be_the_winner_by_the_whole_labeled_loss():
    label = torch.tensor([[[0, 0, 0, 1]]])
    sure, mild = logits_of([0.0, 0.0, 0.9999, 0.999]), logits_of([0.45, 0.45, 0.45, 0.55])
    supervised = SupervisedLoss("squared", 1.0, 1.0)
    overlap = SupervisedLoss("squared", 1.0, 0.0)
    assert supervised(sure, label) > supervised(mild, label) and overlap(sure, label) < overlap(mild, label)

    class Constant(torch.nn.Module):
        def __init__(self, logits):
            super().__init__()
            self.logits = logits

        def forward_features(self, x, post_dropout):
            return torch.cat([self.logits, self.logits]), x.expand(2, 3, 4)

    batch, seen = Batch(torch.randn(2, 1, 4), label.to(torch.uint8)), {}
    for nets, higher in (("loser", 0), ("loser_by_dice", 1)):
        terms = {"pgl": {"nets": nets}, **{name: {"enabled": False} for name in ("cr", "cps", "efs", "ue")}}
        objective = DualNetObjective([Constant(sure), Constant(mild)], supervised, terms)
        objective.parts["pgl"].register_forward_pre_hook(lambda _, arguments: seen.update(losses=arguments[2]))
        objective(batch, 1)
        assert seen["losses"][higher] > seen["losses"][1 - higher]


def test_cosine_consistency_is_one_minus_the_cosine_and_reaches_both_networks():
    a, b = torch.randn(2, 3, 5, requires_grad=True), torch.randn(2, 3, 5, requires_grad=True)
    loss = CosineConsistency()((a, b))
    p, q = a.detach().softmax(1), b.detach().softmax(1)
    cosines = [(p[i, :, j] @ q[i, :, j]) / (p[i, :, j].norm() * q[i, :, j].norm()) for i in range(2) for j in range(5)]
    torch.testing.assert_close(loss.detach(), 1 - torch.stack(cosines).mean())
    loss.backward()
    assert a.grad.abs().sum() > 0 and b.grad.abs().sum() > 0
    assert CosineConsistency()((a, a)).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("delay", "falls"), [(0, [4, 8]), (1, [5, 9])])
def test_the_rate_falls_when_it_should(delay, falls):
    config = preset("dualnet", "la", iterations=8, lr_step=4, epoch_length=1, lr_delay=delay, base_channels=2)
    optimizers, schedulers = (config.get_parsed_content(name) for name in ("optimizers", "lr_schedulers"))
    rates = []
    for _ in range(10):
        rates.append(optimizers[0].param_groups[0]["lr"])
        optimizers[0].step()
        schedulers[0].step()
    expected = [0.01 * 0.1 ** sum(step >= fall for fall in falls) for step in range(10)]
    assert rates == pytest.approx(expected)


def test_the_loser_is_the_net_with_the_higher_labeled_loss():
    pair = (torch.randn(2, 2, 40), torch.randn(2, 2, 40))
    features = (torch.randn(2, 4, 40), torch.randn(2, 4, 40))
    pgl = PrototypeGuidedLearning(nets="loser")
    reliable, members = pgl.reliable_voxels(pair), joint_label(pair)
    losses = [pgl.one_net(z, f, reliable, members) for z, f in zip(pair, features)]
    first = pgl(pair, features, (torch.tensor(2.0), torch.tensor(1.0)))[0]
    second = pgl(pair, features, (torch.tensor(1.0), torch.tensor(2.0)))[0]
    assert torch.equal(first, losses[0]) and torch.equal(second, losses[1])


def test_parameters_are_those_of_the_paper():
    networks = [ResNetVNet(), VNet(init="kaiming_normal")]
    objective = DualNetObjective(networks, SupervisedLoss(), {})
    assert sum(p.numel() for p in objective.parameters()) == 17_930_354 + 9_448_866


def test_swapping_the_networks_changes_nothing():
    objective, batch = objective_2d(), batch_2d()
    for network in objective.networks:
        network.eval()  # the same statistics for both orders
    swapped = DualNetObjective(list(objective.networks)[::-1], objective.supervised, {})
    one, two = objective(batch, 1), swapped(batch, 1)
    for name in set(DualNetObjective.TERMS) - {"cosine"}:
        torch.testing.assert_close(one[name], two[name])


def test_a_batch_with_one_unlabeled_sample_is_finite():
    batch = Batch(torch.randn(3, 1, 32, 32), torch.zeros(2, 1, 32, 32, dtype=torch.uint8))
    assert all(torch.isfinite(value) for value in objective_2d()(batch, 1).values())


def test_a_warm_up_spares_the_networks_each_others_first_labels():
    def weights(step, **options):
        config = ConfigParser()
        config.read_config(str(BUNDLES / "dualnet_segmentation" / "configs" / "train.yaml"))
        config.update({"train#trainer": {"max_epochs": 60}, **options})
        return [config.get_parsed_content("objective#weights")[name](step) for name in ("cps", "efs", "ue")]

    assert weights(0) == weights(6000) == [1.0] * 3
    assert weights(0, warm_up=100) == [math.exp(-5)] * 3 and weights(100, warm_up=100) == [1.0] * 3


def test_each_network_is_evaluated_alone(phantoms_3d, run_tiny, tmp_path):
    data = {"dataset_dir": str(phantoms_3d), "base_channels": 4}
    run_tiny("dualnet_segmentation", **data)
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    for member, foreground in ((0, 100.0), (1, -100.0)):
        state[f"networks.{member}.head.bias"] = torch.tensor([0.0, foreground])
    torch.save(state, tmp_path / "model.pt")
    (tmp_path / "record.json").unlink()  # it holds the sum of the weights as trained
    found = []
    for member in (0, 1):
        run_tiny("dualnet_segmentation", "evaluate", **data, split="test", member=member)
        found.append(json.loads((tmp_path / f"test_member_{member}" / "summary.json").read_text(encoding="utf-8")))
    assert [summary["empty"] for summary in found] == [0, 1]
    assert found[0]["mean"]["dice"] > found[1]["mean"]["dice"] == 0
    with pytest.raises(Exception) as caught:
        run_tiny("dualnet_segmentation", "evaluate", **data, split="test", member=2)
    assert "--member 2: expected one of 0, 1, or null" in str(find_explained(caught.value))


def test_prototypes_attract_and_are_not_attracted():
    """Reliable voxels get no gradient from the attraction, uncertain ones do; from the third term it is reversed."""
    z = logits_of([0.99, 0.98, 0.01, 0.02, 0.6, 0.4])
    gradients = {}
    for proto_term in ("none", "plus"):
        f = torch.randn(1, 3, 6, requires_grad=True)
        PrototypeGuidedLearning(alpha=60, proto_term=proto_term)((z, z), (f, f), (torch.zeros(()),) * 2)[0].backward()
        gradients[proto_term] = f.grad.abs().sum(1)[0] > 0
    assert gradients["none"].tolist() == [False] * 4 + [True] * 2
    assert gradients["plus"].tolist() == [True] * 6
