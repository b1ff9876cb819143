"""Every equation of DualNet (Lu et al., Knowledge-Based Systems 2025) in the preset ``paper``, against slow forms."""

import math

import pytest
import torch

from common.transforms import Batch
from tests.oracles.recorded import preset, tiny_definition

ALPHA, BETA, TAU, T = 70, 0.5, 0.6, 0.5
SHAPE = (4, 4, 3)


def objective_of(**options):
    tiny = [tiny_definition(3, 6, 2)] * 2
    config = preset(
        "dualnet", "la", "paper", network_def={"_target_": "dualnet.MeanSoftmax", "networks": tiny}, **options
    )
    return config.get_parsed_content("objective").train()


def voxels(logits):
    """Softmax pairs of all voxels of logits ``B, 2, ...``, in order."""
    return [tuple(p.tolist()) for p in logits.double().softmax(dim=1).movedim(1, -1).reshape(-1, 2)]


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else 0.0


def pair():
    return torch.randn(2, 2, *SHAPE), torch.randn(2, 2, *SHAPE)


def most_likely(p):
    """Equation 4."""
    return int(p[1] > p[0])


def correction(a, b):
    """Equations 5 and 6 of two lists of softmax pairs."""
    confident = [[most_likely(p) == 1 and max(p) >= TAU for p in net] for net in (a, b)]
    chosen = [i for i in range(len(a)) if confident[0][i] != confident[1][i]]
    return mean((a[i][1] - b[i][1]) ** 2 for i in chosen)


def cross_pseudo(a, b):
    """Equations 7 and 8."""
    return mean(-math.log(p[int(q[1] > 0.6)]) for p, q in zip(a, b))


def uncertainty(p):
    """Equation 9."""
    return -sum(x * math.log(x) for x in p)


def percentile(values):
    return sorted(values)[max(1, math.ceil(ALPHA / 100 * len(values))) - 1]


def valid(a, b):
    """Equation 10: places of the voxels that count."""
    entropies = [[uncertainty(p) for p in net] for net in (a, b)]
    limits = [percentile(h) for h in entropies]
    return [i for i in range(len(a)) if not (entropies[0][i] > limits[0] and entropies[1][i] > limits[1])]


def filtered(net, a, b):
    """Equation 11 of one network."""
    counted = valid(a, b)
    everywhere = [
        -math.log(net[i][max(most_likely(a[i]), most_likely(b[i]))]) if i in counted else 0.0 for i in range(len(a))
    ]
    return len(a) / len(counted) * mean(everywhere)


def enhanced(net, peer, peer_logits):
    """Equations 13 to 15 of one network."""
    total = []
    for p, q, z in zip(net, peer, peer_logits):
        divergence = sum(y * math.log(y / x) for x, y in zip(p, q))
        weights = [math.exp(v / T) for v in z]
        cross_entropy = -sum(w / sum(weights) * math.log(x) for w, x in zip(weights, p))
        total.append(math.exp(-divergence) * cross_entropy + divergence)
    return mean(total)


def apart(u, v):
    u, v = ([x / math.sqrt(sum(y * y for y in w)) for x in w] for w in (u, v))
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(u, v)))


def prototype_loss(net, features, a, b):
    """Equations 16 to 20 of one network; ``features`` are lists of numbers."""
    entropies = [[uncertainty(p) for p in other] for other in (a, b)]
    limit = percentile(entropies[0] + entropies[1])
    places = range(len(a))
    reliable = [
        i for i in places if most_likely(a[i]) == most_likely(b[i]) and max(entropies[0][i], entropies[1][i]) <= limit
    ]
    centers, loss = [], 0.0
    for c in (0, 1):
        own = [features[i] for i in reliable if most_likely(net[i]) == c]
        centers.append([mean(column) for column in zip(*own)])
        loss += mean(apart(features[i], centers[c]) for i in places if i not in reliable and most_likely(net[i]) == c)
    return loss + apart(*centers)


def rows_of(features):
    return features.double().movedim(1, -1).flatten(0, -2).tolist()


def test_correction():
    """DualNet eqs. 4, 5 and 6: squared distance of the predictions where exactly one is confidently foreground."""
    logits = pair()
    loss = objective_of().parts["cr"](logits, torch.zeros(2, *SHAPE, dtype=torch.long))
    assert loss.item() == pytest.approx(2 * correction(*map(voxels, logits)), abs=1e-6)  # once per network


def test_cross_pseudo_supervision():
    """DualNet eqs. 7 and 8: cross-entropy against the other's probability above 0.6, both ways."""
    logits = pair()
    a, b = map(voxels, logits)
    loss = objective_of().parts["cps"](logits)
    assert loss.item() == pytest.approx(cross_pseudo(a, b) + cross_pseudo(b, a), abs=1e-5)


def test_filtered_supervision():
    """DualNet eqs. 9, 10 and 11: cross-entropy against the joint label where not both entropies are high."""
    logits = pair()
    a, b = map(voxels, logits)
    loss, share = objective_of().parts["efs"](logits)
    assert share.item() == pytest.approx(len(valid(a, b)) / len(a))
    assert loss.item() == pytest.approx(filtered(a, a, b) + filtered(b, a, b), abs=1e-5)


def test_uncertainty_enhancement():
    """DualNet eqs. 13, 14 and 15: sharpened peer label, weighted by the divergence from the peer, plus it."""
    logits = pair()
    a, b = map(voxels, logits)
    za, zb = (rows_of(z) for z in logits)
    loss = objective_of().parts["ue"](logits)
    assert loss.item() == pytest.approx(enhanced(a, b, zb) + enhanced(b, a, za), abs=1e-5)


def test_prototypes():
    """DualNet eqs. 16 to 20: reliable voxels, their prototypes, and the distances to and between these."""
    logits, features = pair(), (torch.randn(2, 6, *SHAPE), torch.randn(2, 6, *SHAPE))
    a, b = map(voxels, logits)
    loss, _ = objective_of().parts["pgl"](logits, features, (torch.zeros(()),) * 2)
    expected = [prototype_loss(net, rows_of(f), a, b) for net, f in zip((a, b), features)]
    assert loss.item() == pytest.approx(mean(expected), abs=1e-5)


def supervised(net, labels):
    """Cross-entropy and Dice of equation 2."""
    overlap = sum(p[1] for p, y in zip(net, labels) if y)
    dice = 1 - (2 * overlap + 1e-5) / (sum(p[1] ** 2 for p in net) + sum(labels) + 1e-5)
    return mean(-math.log(p[y]) for p, y in zip(net, labels)) + dice


@pytest.mark.parametrize("step", [1, 2500, 6000])
def test_total(step):
    """DualNet eqs. 1, 2, 3 and 12: all terms of a step of two networks, the prototypes' with 0.1 of the warm-up."""
    objective = objective_of(iterations=6000)
    for network in objective.networks:
        network.norm.bias.data.fill_(1.0)  # no feature is zero, where a direction has no meaning
    image = torch.randn(4, 1, *SHAPE)
    batch = Batch(image, torch.randint(0, 2, (2, 1, *SHAPE), dtype=torch.uint8))
    labels = batch.label.flatten().tolist()
    outputs = [network.train().forward_features(image) for network in objective.networks]
    total = objective.total(objective(batch, step), step)
    z = [logits for logits, _ in outputs]
    labeled, unlabeled, everything = ([voxels(x[part]) for x in z] for part in (slice(2), slice(2, 4), slice(4)))
    rows = [rows_of(x) for x in z]
    expected = 0.0
    for k in (0, 1):
        cross = cross_pseudo(unlabeled[k], unlabeled[1 - k]) + filtered(unlabeled[k], *unlabeled)  # equation 12
        enhancement = enhanced(everything[k], everything[1 - k], rows[1 - k])
        expected += supervised(labeled[k], labels) + BETA * correction(*labeled)  # equation 2
        expected += cross + enhancement  # equation 3
    prototypes = [prototype_loss(unlabeled[k], rows_of(outputs[k][1][2:]), *unlabeled) for k in (0, 1)]
    expected += 0.1 * math.exp(-5 * (1 - step / 6000) ** 2) * mean(prototypes)
    assert total.item() == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(
    ("layer", "options"), [("la_quick", {"lr_step": 0.6, "warm_up": 0.4}), ("demo", {"lr_step": 0.8, "warm_up": 2})]
)
def test_schedules_of_short_presets_are_shares_of_the_run(layer, options):
    for iterations in (400, 1000):
        config = preset("dualnet", layer, iterations=iterations)
        for option, share in options.items():
            assert config.get_parsed_content(option) == round(share * iterations)
        assert config.get_parsed_content("ramp_up") == iterations


def test_published_start_leaves_only_the_biases_to_torch():
    """``init: kaiming_weights``: the head's biases are drawn within 1/sqrt(inputs), weights as with kaiming_normal."""
    for layers, zero in ((("la",), True), (("la", "official"), False)):
        networks = preset("dualnet", *layers, base_channels=4).get_parsed_content("network").networks
        for network in networks:
            bias = network.head.bias
            assert bool((bias == 0).all()) is zero and bias.abs().max() <= 1 / math.sqrt(4)
            weights = network.decoder.stacks[0][0].conv.weight
            assert weights.std().item() == pytest.approx(math.sqrt(2 / weights[0].numel()), rel=0.05)
