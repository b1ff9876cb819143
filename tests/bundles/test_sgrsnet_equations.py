"""Every equation of SGRS-Net (MICCAI 2025) in the preset ``paper``, against slow forms of the print.

Sums that the paper prints over voxels are means: see ``RegionalLoss``.
"""

import math
from unittest.mock import patch

import pytest
import torch

from common.transforms import Batch, MixUp
from tests.oracles.recorded import preset, tiny_definition

TAU, EPS, ETA = 0.6818546087307834, 0.2, 20.0
SHAPE = (4, 4, 3)


def config_of(**options):
    return preset("sgrsnet", "la", "paper", network_def=tiny_definition(3, 4, 2), **options)


def content(name, **options):
    return config_of(**options).get_parsed_content(name)


def voxels(logits):
    """Softmax pairs of all voxels of logits ``B, 2, ...``, in order."""
    return [tuple(p.tolist()) for p in logits.double().softmax(dim=1).movedim(1, -1).reshape(-1, 2)]


def most_likely(p):
    return int(p[1] > p[0])


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def partition(u, m):
    """Equations 3 to 7: region of each voxel from the predictions on the image and on its mixture."""
    regions = []
    for p, q in zip(u, m):
        unsure = [-sum(x * math.log(x) for x in r) > TAU for r in (p, q)]
        agree = most_likely(p) == most_likely(q)
        regions.append("delta" if all(unsure) else "omega" if agree else "theta")
    return regions


def dice(net, labels, chosen, smooth=0.0):
    """Equations 9 and 14: squares, over the chosen voxels and both classes at once."""
    overlap = sum(net[i][c] * (labels[i] == c) for i in chosen for c in (0, 1))
    size = sum(net[i][c] ** 2 + (labels[i] == c) for i in chosen for c in (0, 1))
    return 1 - 2 * overlap / (size + smooth) if size + smooth else 0.0


def cross_entropy(net, labels, chosen, smoothing=0.0):
    """Equation 8, and with smoothed labels that of the noise-robust loss, over the chosen voxels."""
    total = 0.0
    for i in chosen:
        for c in (0, 1):
            weight = (1 - smoothing) * (labels[i] == c) + smoothing / 2
            total -= weight * math.log(net[i][c])
    return total / len(net)


def supervised(net, labels):
    """Equation 10."""
    return cross_entropy(net, labels, range(len(net))) + dice(net, labels, range(len(net)))


def consistent(net, labels, regions):
    omega = [i for i, region in enumerate(regions) if region == "omega"]
    return cross_entropy(net, labels, omega) + dice(net, labels, omega)


def noise_robust(net, labels, regions):
    theta = [i for i, region in enumerate(regions) if region == "theta"]
    return cross_entropy(net, labels, theta, EPS) + dice(net, labels, theta, ETA)


def unsupervised(u, m, labels):
    """Equation 16."""
    regions = partition(u, m)
    return sum(consistent(net, labels, regions) + noise_robust(net, labels, regions) for net in (u, m))


def test_mixture():
    """SGRS-Net eqs. 1 and 2: the weight is the larger of one Beta draw and 1 minus another, and blends images."""
    mixup = content("objective").mixup
    assert mixup.alpha == 0.75 and mixup.draws == 2
    images, partners = torch.randn(3, 1, *SHAPE), torch.randn(2, 1, *SHAPE)
    weights, partner = mixup.draw(20000, 2)
    assert 0 <= weights.min() < 0.4 and weights.max() <= 1  # b and b' differ
    once, twice = MixUp(0.75).draw(20000, 2)[0], weights
    assert once.min() >= 0.5
    # E max(b, b') = 1/2 + E|b - b'| / 2 and E max(b, 1 - b) = 1/2 + E|b - 1/2|, by Beta(0.75, 0.75) on a grid
    grid = (torch.arange(4000, dtype=torch.double) + 0.5) / 4000
    density = (grid * (1 - grid)) ** -0.25
    density /= density.sum()
    spread = (density[:, None] * density[None] * (grid[:, None] - grid[None]).abs()).sum()
    assert twice.mean().item() == pytest.approx(0.5 + spread.item() / 2, abs=0.01)
    assert once.mean().item() == pytest.approx(0.5 + (density * (grid - 0.5).abs()).sum().item(), abs=0.01)
    mixed = mixup.apply(images, partners, weights[:3], partner[:3])
    for i in range(3):
        expected = weights[i] * images[i] + (1 - weights[i]) * partners[partner[i]]
        torch.testing.assert_close(mixed[i], expected)


def test_regions():
    """SGRS-Net eqs. 3 to 7: uncertain where both entropies exceed the limit, else agreeing or not."""
    logits = [torch.randn(2, 2, 400) * 0.3 for _ in range(2)]
    found = content("objective#regions")(*logits)
    expected = partition(*map(voxels, logits))
    for name, mask in found.items():
        assert mask.flatten().tolist() == [region == name for region in expected]
        assert mask.any()


def test_the_limit_is_the_entropy_of_the_published_probability():
    """SGRS-Net eq. 5: tau of the print, 0.296, is this in base-10 units."""
    tau = config_of()["tau_nats"]
    assert tau == pytest.approx(-(0.425 * math.log(0.425) + 0.575 * math.log(0.575)), rel=1e-15)
    assert tau / math.log(10) == pytest.approx(0.296, abs=5e-4)


def test_supervised():
    """SGRS-Net eqs. 8, 9 and 10: cross-entropy plus the Dice of all voxels and classes at once."""
    logits, label = torch.randn(2, 2, *SHAPE), torch.randint(0, 2, (2, 1, *SHAPE), dtype=torch.uint8)
    loss = content("objective#supervised")(logits, label)
    assert loss.item() == pytest.approx(supervised(voxels(logits), label.flatten().tolist()), abs=1e-5)


@pytest.mark.parametrize("empty", [None, "omega", "theta"])
def test_regional(empty):
    """SGRS-Net eqs. 11 to 16: plain losses in omega, smoothed ones in theta, of both views, summed."""
    views = [torch.randn(2, 2, *SHAPE), torch.randn(2, 2, *SHAPE)]
    if empty == "theta":
        views[1] = views[0] * 1.5
    elif empty == "omega":
        views[1] = -views[0]
    pseudo_label = torch.randint(0, 2, (2, *SHAPE))
    regions = content("objective#regions")(*views)
    assert empty is None or not regions[empty].any()
    loss = content("objective#regional")(views, pseudo_label, regions)
    expected = unsupervised(*map(voxels, views), pseudo_label.flatten().tolist())
    assert loss.item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("step", [1, 3000, 9000])
def test_total(step):
    """SGRS-Net eq. 17: the supervised sum, plus the unsupervised one with the weight of the warm-up; nothing halved."""
    objective = content("objective", iterations=15000).train()
    batch = Batch(torch.randn(4, 1, *SHAPE), torch.randint(0, 2, (2, 1, *SHAPE), dtype=torch.uint8))
    seen = {}
    for module in (objective.network, objective.teacher):
        module.register_forward_pre_hook(lambda module, arguments: seen.update({module: arguments[0]}))
    drawn = (torch.tensor([0.9, 0.4]), torch.tensor([1, 0]))
    with patch.object(MixUp, "draw", lambda *_: drawn):
        total = objective.total(objective(batch, step), step).item()
    noisy, student = seen[objective.teacher], seen[objective.network]
    assert torch.equal(student[:4], batch.image) and (noisy - batch.image[2:]).abs().max() <= 0.2 + 1e-6
    labels = objective.teacher(noisy).argmax(dim=1).flatten().tolist()
    labeled, plain, mixed = (voxels(z) for z in objective.network(student).split(2))
    expected = supervised(labeled, batch.label.flatten().tolist())
    expected += math.exp(-5 * (1 - min(step / 6000, 1)) ** 2) * unsupervised(plain, mixed, labels)
    assert total == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("layer", ["la_quick", "demo"])
def test_short_presets_ramp_over_the_published_share_of_the_run(layer):
    for iterations in (200, 1000):
        assert preset("sgrsnet", layer, iterations=iterations).get_parsed_content("ramp_up") == round(0.4 * iterations)


@pytest.mark.parametrize(("layer", "labeled"), [("la", 8), ("pancreas", 6), ("brats", 25)])
def test_data_sets_have_a_tenth_of_the_labels(layer, labeled):
    assert preset("sgrsnet", layer)["labeled"] == labeled
