import pytest
import torch
from ssnet import PrototypeSeparation, SSNetObjective

from common.errors import InputError
from common.losses import Ramp, SupervisedLoss, VirtualAdversarialLoss, dice_linear
from common.losses.vat import DIVERGENCES
from common.networks import UNet2D, VNet
from common.transforms import Batch
from tools.run import run

SUPERVISED = {"dice": "linear", "dice_weight": 1.0, "ce_weight": 0.0}


def make(network=None, lds=None, separation=None, **options):
    network = network or VNet(base_channels=4)
    channels = network.head.in_channels
    return SSNetObjective(
        network,
        SupervisedLoss(**SUPERVISED),
        VirtualAdversarialLoss(**(lds or {})),
        PrototypeSeparation(
            feature_channels=channels, dim=8, k=8, classes=network.head.out_channels, **(separation or {})
        ),
        **options,
    ).train()


def volumes(labeled=2, unlabeled=2, shape=(16, 16, 16)):
    image = torch.randn(labeled + unlabeled, 1, *shape)
    return Batch(image, torch.ones(labeled, 1, *shape, dtype=torch.uint8))


def slices(labeled=2, unlabeled=2):
    return volumes(labeled, unlabeled, (16, 16))


def encoder_gradient(objective, loss):
    """Gradient of a loss with respect to the very first convolution."""
    first = next(p for p in objective.network.encoder.parameters())
    (gradient,) = torch.autograd.grad(loss, first)
    return gradient


@pytest.mark.parametrize(("network", "classes", "expected"), [(VNet, 2, 9_457_318), (UNet2D, 4, 1_826_828)])
def test_method_has_the_published_number_of_parameters(network, classes, expected):
    objective = SSNetObjective(
        network(out_channels=classes), SupervisedLoss(), VirtualAdversarialLoss(), PrototypeSeparation(classes=classes)
    )
    assert sum(p.numel() for p in objective.parameters()) == expected


def test_all_terms_are_finite_scalars_beside_the_pseudo_label_share():
    objective = make()
    terms = objective(volumes(), step=1)
    assert set(terms) == {"supervised", "lds", "separation", "pseudo_foreground"}
    assert all(value.shape == () and torch.isfinite(value) for value in terms.values())
    assert 0 <= terms["pseudo_foreground"] <= 1


@pytest.mark.parametrize("switch", ["lds", "separation"])
def test_a_disabled_term_is_left_out(switch):
    terms = make(**{switch: {"enabled": False}})(volumes(), 1)
    assert set(terms) == {"supervised", "lds", "separation", "pseudo_foreground"} - {switch}


def test_supervised_term_is_the_dice_of_the_labeled_half():
    objective = make(lds={"enabled": False})
    batch = volumes()
    torch.manual_seed(1)
    terms = objective(batch, 1)
    torch.manual_seed(1)
    p = objective.network(batch.image).softmax(1)[:2, 1]
    torch.testing.assert_close(terms["supervised"], dice_linear(p, torch.ones_like(p)))


def test_a_batch_without_unlabeled_samples_has_no_pseudo_labels():
    terms = make()(volumes(unlabeled=0), 1)
    assert set(terms) == {"supervised", "lds", "separation"}
    assert torch.isfinite(terms["separation"])


@pytest.mark.parametrize("network", [VNet, UNet2D])
def test_empty_foreground_gives_finite_losses_and_gradients(network):
    objective = make(network(base_channels=4, out_channels=2))
    batch = volumes() if network is VNet else slices()
    batch.label.zero_()
    terms = objective(batch, 1)
    objective.total(terms, 1).backward()
    assert all(torch.isfinite(value) for value in terms.values())
    assert terms["separation"].item() == 0
    assert all(torch.isfinite(p.grad).all() for p in objective.network.parameters())


# ---- every term alone trains the encoder


@pytest.mark.parametrize("term", ["supervised", "lds", "separation"])
@pytest.mark.parametrize("network", [VNet, UNet2D])
def test_every_term_alone_reaches_the_encoder(term, network):
    objective = make(network(base_channels=4, out_channels=2))
    terms = objective(volumes() if network is VNet else slices(), 1)
    gradient = encoder_gradient(objective, terms[term])
    assert torch.isfinite(gradient).all()
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize(
    ("clean_target", "dropout"),
    [("recompute", "independent"), ("recompute", "shared"), ("recompute", "off"), ("reuse_main", "independent")],
)
def test_smoothness_reaches_the_encoder_in_every_variant(divergence, clean_target, dropout):
    objective = make(lds={"divergence": divergence, "clean_target": clean_target, "dropout": dropout})
    gradient = encoder_gradient(objective, objective(volumes(), 1)["lds"])
    assert torch.isfinite(gradient).all()
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("feature_tap", ["post_dropout", "pre_dropout"])
@pytest.mark.parametrize(
    "separation",
    [{"rank": "top"}, {"rank": "bottom"}, {"memory_attention": False}, {"rows": "all"}, {"row_limit": 50}],
)
def test_separation_reaches_the_encoder_in_every_variant(separation, feature_tap):
    objective = make(lds={"enabled": False}, separation=separation, feature_tap=feature_tap)
    gradient = encoder_gradient(objective, objective(volumes(), 1)["separation"])
    assert torch.isfinite(gradient).all()
    assert gradient.abs().sum() > 0


def test_smoothness_acts_on_the_unlabeled_half_too():
    seen = []

    class Spy(VirtualAdversarialLoss):
        def forward(self, network, x, main_logits):
            seen.append((x, main_logits))
            return super().forward(network, x, main_logits)

    objective, batch = make(), volumes()
    objective.lds = Spy(clean_target="reuse_main")
    objective(batch, 1)
    ((x, main_logits),) = seen
    assert x is batch.image
    assert main_logits.shape == (4, 2, 16, 16, 16)


def test_direction_may_come_from_the_main_pass():
    objective, batch, passes = make(lds={"clean_target": "reuse_main", "direction": "main_pass"}), volumes(), []
    objective.network.encoder[0].register_forward_hook(lambda *_: passes.append(1))
    terms = objective(batch, 1)
    assert len(passes) == 2  # main and perturbed
    assert encoder_gradient(objective, objective.total(terms, 1)).abs().sum() > 0
    assert not batch.image.requires_grad
    plain = make(lds={"clean_target": "reuse_main"})
    plain(batch, 1)
    assert plain.lds.from_main_pass is False


def test_training_step_leaves_no_gradient_on_prototypes_and_updates_them():
    objective = make(lds={"enabled": False})
    objective.total(objective(volumes(), 1), 1).backward()
    assert objective.separation.stored[1] == 8
    assert objective.separation.memory[1].abs().sum() > 0
    assert not objective.separation.memory.requires_grad


# ---- weights


def test_total_weighs_the_terms_by_their_ramps():
    weights = {"lds": Ramp(1.0, length=6000), "separation": Ramp(0.1, length=6000)}
    objective = make(weights=weights)
    terms = objective(volumes(), 2500)
    ramp = Ramp(1.0, length=6000)(2500)
    expected = terms["supervised"] + ramp * (terms["lds"] + 0.1 * terms["separation"])
    torch.testing.assert_close(objective.total(terms, 2500), expected)


@pytest.mark.parametrize(("feature_tap", "dropped"), [("post_dropout", True), ("pre_dropout", False)])
def test_separation_gets_the_feature_of_the_chosen_tap(feature_tap, dropped):
    objective, seen = make(feature_tap=feature_tap, lds={"enabled": False}), []
    objective.separation.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    objective(volumes(), 1)
    channels = (seen[0] == 0).flatten(2).all(2)
    assert bool(channels.any()) == dropped


def test_unknown_feature_tap_and_unknown_weights_are_refused():
    with pytest.raises(ValueError, match="feature_tap must be one of .*'wrong'"):
        make(feature_tap="wrong")
    with pytest.raises(ValueError, match=r"unknown terms \['vat'\]"):
        make(weights={"vat": 1.0})


@pytest.mark.parametrize(
    ("crop", "patch"), [("[40,32,32]", "[64,64,32]"), ("[32,32]", "[64,64,32]"), ("[96,32,32]", "[64,64,32]")]
)
def test_a_part_of_the_patch_that_the_network_cannot_take_is_refused(crop, patch):
    with pytest.raises(InputError, match="--lds_crop .*: expected one extent for each of patch_size"):
        run("ssnet_segmentation", lds_crop=crop, patch_size=patch, dataset_dir="nowhere")
