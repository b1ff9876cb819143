"""SynFoC: what the published code does otherwise, as options."""

from types import SimpleNamespace

import pytest
import torch
from synfoc import SmoothedDice, SynFoCSettings, make_inferer, make_sample, make_score, make_unet, masked_loss
from torch.nn import functional as F

from common.errors import InputError
from common.sam import SamSegmenter
from common.transforms import Batch, resize_image, resize_nearest

from .test_synfoc_objective import SIZES, batch, fixed_objective, objective


def test_the_published_u_net_has_its_parameters():
    assert sum(p.numel() for p in make_unet(wide_end=False).parameters()) == 31_036_546
    narrow = make_unet(3, 3, 4, wide_end=False)
    assert narrow(torch.rand(2, 3, 32, 32)).shape == (2, 3, 32, 32)


def test_smoothing_reaches_every_dice_loss():
    """A class without a labeled pixel costs 1 without smoothing, and nothing with much of it."""
    unet, sam = torch.randn(2, 2, 32, 32), torch.randn(2, 2, 16, 16)
    labels = torch.zeros(2, 1, 64, 64, dtype=torch.uint8)
    for eps in (1e-10, 0.1):
        method = fixed_objective(unet, sam, torch.ones(2, 1, 32, 32, dtype=torch.bool), dice_eps=eps)
        terms = method(Batch(torch.rand(4, 1, 64, 64), labels), 1)
        for name, logits in (("unet", unet), ("sam", sam)):
            target = torch.zeros_like(logits[:, :1]).long()
            expected = masked_loss(logits, target, eps=eps)
            torch.testing.assert_close(terms[f"supervised_{name}"], expected)
            torch.testing.assert_close(terms[f"pseudo_{name}"], expected)


@pytest.mark.parametrize("rule", ["nearest", "nearest_floor", "nearest_corners"])
def test_labels_and_maps_follow_their_rules(rule):
    label = torch.randint(0, 2, (2, 1, 64, 64), dtype=torch.uint8)
    method = objective(resample_labels=rule)
    assert torch.equal(method.label_at(label, torch.zeros(2, 2, 20, 20)), resize_nearest(label, (20, 20), rule))
    assert torch.equal(method.resize(label, (20, 20)), resize_nearest(label, (20, 20)))
    method = objective(resample_maps=rule)
    assert torch.equal(method.resize(label, (20, 20)), resize_nearest(label, (20, 20), rule))
    assert torch.equal(method.label_at(label, torch.zeros(2, 2, 20, 20)), resize_nearest(label, (20, 20)))
    assert torch.isfinite(method.total(method(batch(), 1), 1))


@pytest.mark.parametrize("option", ["resample", "resample_labels", "resample_maps"])
def test_an_unknown_rule_is_refused(option):
    with pytest.raises(InputError, match=f"{option} must be one of"):
        SynFoCSettings(**{option: "linear"})


def test_other_filters_of_files_hold_in_inference_too():
    image, seen = (255 * torch.rand(1, 1, 50, 70)).round() / 255, []

    def network(x):
        seen.append(x)
        return torch.cat([x, 1 - x], dim=1)

    make_inferer(SIZES, "unet", "antialias", amp=False)(image, network)
    make_inferer(SIZES, "unet", "nearest_corners", sample_resample="pillow_lanczos", amp=False)(image, network)
    first = make_sample(SIZES, resample="pillow_lanczos")
    assert first.size == (64, 64)
    torch.testing.assert_close(seen[0], resize_image(image, (32, 32)))
    assert torch.equal(seen[1], resize_nearest(first.image(image), (32, 32), "nearest_corners"))


def test_results_come_at_the_size_that_is_asked_for():
    network = torch.nn.AvgPool2d(4)
    image = torch.rand(1, 2, 50, 70)
    maps = make_inferer(SIZES, "sam", "nearest_corners", output_size=[40, 48], amp=False)(image, network)
    logits = F.interpolate(network(resize_nearest(image, (64, 64), "nearest_corners")), size=(64, 64), mode="bilinear")
    assert torch.equal(maps.argmax(1), resize_nearest(logits, (40, 48), "nearest_corners").argmax(1))
    assert make_inferer(SIZES, "sam", output_size=[40, 48], amp=False)(image, network).shape == (1, 2, 40, 48)


def test_the_no_mask_embedding_may_stay_as_it_is():
    for learns in (True, False):
        network = SamSegmenter("tiny", 64, train_prompt=learns)
        assert network.sam.prompt_encoder.no_mask_embed.weight.requires_grad == learns
        assert network.settings["train_prompt"] == learns


def test_the_selecting_score_averages_domains_and_counts_empty_pairs_as_right():
    one, none = torch.tensor([1, 1, 0, 0]), torch.tensor([0, 0, 0, 0])
    engine = SimpleNamespace(state=SimpleNamespace())
    score = make_score("smoothed_dice", [[1]])
    for domain, pred, label in (("a", one, one), ("a", none, none), ("b", one, none)):
        engine.state.batch = [{"domain": domain}]
        maps = [F.one_hot(m, 2).T[:, None].float() for m in (pred, label)]
        engine.state.output = [dict(zip(("pred", "label"), maps))]
        score.iteration_completed(engine)
    assert score.compute() == pytest.approx(((5 / 5.001 + 1) / 2 + 1 / 3.001) / 2)
    assert isinstance(score, SmoothedDice) and make_score("dice", [[1]]) is None
    with pytest.raises(InputError, match="selection must be one of"):
        make_score("best", [[1]])
