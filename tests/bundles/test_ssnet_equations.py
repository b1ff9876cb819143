"""Every equation of SS-Net (Wu et al., MICCAI 2022) in the preset ``paper``, against slow forms of the print."""

import math
from unittest.mock import patch

import pytest
import torch
from torch import nn

from common.transforms import Batch
from tests.oracles.recorded import preset, tiny_definition


def config_of(**options):
    sizes = {"network_def": tiny_definition(2, 4, 3), "base_channels": 4, "num_classes": 3, "lds_patch": None}
    return preset("ssnet", "la", "paper", **sizes, **options)


def smooth_network():
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 3, 1))


def dice(p, q):
    """Equation 3, class by class and voxel by voxel, of softmax maps ``B, C, H, W``."""
    total = 0.0
    for c in range(p.shape[1]):
        a, b = p[:, c].flatten().tolist(), q[:, c].flatten().tolist()
        total += 1 - 2 * sum(x * y for x, y in zip(a, b)) / (sum(a) + sum(b))
    return total / p.shape[1]


def test_divergence():
    """SS-Net eq. 3: mean over classes of the Dice distance of two softmax maps."""
    divergence = config_of().get_parsed_content("lds").divergence
    a, b = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    assert divergence(a, b).item() == pytest.approx(dice(a.softmax(1), b.softmax(1)), abs=1e-6)


def test_smoothness():
    """SS-Net eqs. 1 and 2 (appendix, algorithm 1): distance at x + r; r along the gradient, here of differences."""
    network, x = smooth_network(), torch.randn(2, 1, 3, 3)
    term = config_of(lds_eps=0.3, **{"lds#xi": 0.2}).get_parsed_content("lds")
    drawn = torch.rand(2, 1, 3, 3)
    with patch.object(torch, "rand_like", lambda _: drawn):
        loss = term(network, x, None).item()

    exact = smooth_network().double()
    exact.load_state_dict(network.state_dict())
    x, d = x.double(), drawn.double() - 0.5

    @torch.no_grad()
    def probability(image):
        return exact(image).softmax(dim=1)

    clean, h = probability(x), 1e-5
    for sample in d:
        sample /= sample.square().sum().sqrt()
    g = torch.zeros_like(x)
    for place in range(x.numel()):
        step = torch.zeros_like(x)
        step.view(-1)[place] = h
        rise = dice(probability(x + 0.2 * d + step), clean) - dice(probability(x + 0.2 * d - step), clean)
        g.view(-1)[place] = rise / (2 * h)
    for sample in g:
        sample *= 0.3 / sample.square().sum().sqrt()
    assert loss == pytest.approx(dice(probability(x + g), clean), abs=2e-6)


def test_smoothness_keeps_its_radius_per_voxel():
    """SS-Net eq. 2: the norm 10 of a patch of 112 x 112 x 80 is one perturbation per voxel for patches of all sizes."""
    published = 10 / math.sqrt(112 * 112 * 80)
    for layers, patch_size in ((("la",), (112, 112, 80)), (("la", "la_quick"), (64, 64, 32))):
        config = preset("ssnet", *layers)
        term, x = config.get_parsed_content("lds"), torch.zeros(1, 1, *config["patch_size"])
        assert tuple(config["patch_size"]) == patch_size
        assert term.eps * term.scale(x) / math.sqrt(x.numel()) == pytest.approx(published, rel=1e-12)
        assert term.xi * term.scale(x) / math.sqrt(x.numel()) == pytest.approx(published, rel=1e-12)
    for layers in (("acdc",), ("acdc", "acdc_quick")):
        config = preset("ssnet", *layers)
        term, x = config.get_parsed_content("lds"), torch.zeros(1, 1, *config["patch_size"])
        assert term.eps * term.scale(x) / math.sqrt(x.numel()) == pytest.approx(6 / 256, rel=1e-12)


def separation_of(**options):
    return config_of(**{"separation#k": 5, **options}).get_parsed_content("separation").eval()


def attention(selector, rows):
    scores = [1 / (1 + math.exp(-selector(row[None]).item())) for row in rows]
    return [score * len(scores) / sum(scores) for score in scores]


@torch.no_grad()
def class_distance(term, rows, prototypes, c):
    """Summand of a class of equation 4: every feature against every prototype."""
    weights = attention(term.feature_selectors[c], rows)
    memory_weights = attention(term.memory_selectors[c], prototypes)
    total = 0.0
    for row, w in zip(rows, weights):
        for prototype, v in zip(prototypes, memory_weights):
            cosine = (row @ prototype) / (row.norm() * prototype.norm())
            total += w * v * (1 - cosine.item())
    return total / (len(rows) * len(prototypes))


@torch.no_grad()
def test_separation():
    """SS-Net eq. 4: prototypes are the K best right labeled voxels; all voxels of the class are drawn to them."""
    term = separation_of()
    features, prediction = torch.randn(4, 4, 6, 5), torch.randint(3, (4, 6, 5))
    label = torch.where(torch.rand(2, 6, 5) < 0.6, prediction[:2], torch.randint(3, (2, 6, 5)))
    rows, expected = features.movedim(1, -1), 0.0
    for c in (1, 2):
        candidates = [term.projector(row[None])[0] for row in rows[:2][(label == c) & (prediction[:2] == c)]]
        candidates.sort(key=lambda row: term.feature_selectors[c](row[None]).item(), reverse=True)
        assert len(candidates) > 5
        for stream, classes in ((rows[:2], label), (rows[2:], prediction[2:])):
            own = [term.predictor(term.projector(row[None]))[0] for row in stream[classes == c]]
            expected += class_distance(term, own, candidates[:5], c) / 3
    assert term(features, prediction, label).item() == pytest.approx(expected, abs=1e-5)


def test_total():
    """SS-Net eq. 5: supervised Dice, plus smoothness and a tenth of separation with the weight of the warm-up."""
    objective = config_of(iterations=15000).get_parsed_content("objective").train()
    batch = Batch(torch.randn(4, 1, 6, 5), torch.randint(0, 3, (2, 1, 6, 5), dtype=torch.uint8))
    terms = objective(batch, 2500)
    warm = math.exp(-5 * (1 - 2500 / 6000) ** 2)
    expected = terms["supervised"] + warm * (terms["lds"] + 0.1 * terms["separation"])
    torch.testing.assert_close(objective.total(terms, 2500), expected)
    p = objective.network.eval()(batch.image[:2]).softmax(dim=1)
    loss = objective.supervised(objective.network(batch.image[:2]), batch.label).item()
    shares = []
    for c in (1, 2):
        a, y = p[:, c].flatten().tolist(), (batch.label == c).flatten().tolist()
        shares.append(1 - 2 * sum(x for x, inside in zip(a, y) if inside) / (sum(a) + sum(y)))
    assert loss == pytest.approx(sum(shares) / 2, abs=1e-5)


def test_the_supervised_row_sees_no_unlabeled_patch():
    """Table 3, row 1: neither a term nor batch norm meets an unlabeled patch."""
    config = preset("ssnet", "la", "ablation_supervised")
    assert config["unlabeled_batch"] == 0
    assert not config["lds"]["enabled"] and not config["separation"]["enabled"]


@pytest.mark.parametrize("layer", ["la_quick", "demo"])
def test_short_presets_ramp_over_the_published_share_of_the_run(layer):
    for iterations in (200, 1000):
        config = preset("ssnet", layer, iterations=iterations)
        assert config.get_parsed_content("ramp_up") == round(iterations * 6000 / 15000)
