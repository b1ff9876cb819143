import pytest
import torch
from torch import nn

from common.losses import VirtualAdversarialLoss, dice_linear, dice_squared_multiclass, kl_divergence
from common.losses.vat import DIVERGENCES, unit
from common.networks import UNet2D, VNet

CHOICES = [
    ("recompute", "independent"),
    ("recompute", "shared"),
    ("recompute", "off"),
    ("reuse_main", "independent"),
]


class Recorder(nn.Module):
    """Passes on to a network and keeps its inputs and outputs."""

    def __init__(self, network):
        super().__init__()
        self.network, self.inputs, self.outputs = network, [], []

    def forward(self, x):
        self.inputs.append(x.detach().clone())
        self.outputs.append(self.network(x))
        return self.outputs[-1]


def voxelwise(classes=3):
    """A smooth network without batch norm or dropout."""
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, classes, 1))


def start(x):
    """A random unit vector per sample."""
    return unit(torch.rand_like(x) - 0.5)


def statistics(network):
    return {name: value.clone() for name, value in network.named_buffers()}


# ---- divergences


def test_global_dice_is_one_minus_the_mean_inner_product():
    a, b = torch.randn(2, 2, 3, 4, 5), torch.randn(2, 2, 3, 4, 5)
    p, q = a.softmax(1), b.softmax(1)
    divergence = DIVERGENCES["dice_global"](a, b)
    torch.testing.assert_close(divergence, 1 - (p * q).sum(1).mean())
    torch.testing.assert_close(divergence, dice_linear(p, q))


def test_per_class_dice_is_the_mean_of_the_channels_dice():
    a, b = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    expected = sum(dice_linear(a.softmax(1)[:, c], b.softmax(1)[:, c]) for c in range(3)) / 3
    torch.testing.assert_close(DIVERGENCES["dice_per_class"](a, b), expected)


def test_squared_dice_is_that_of_the_supervised_loss_with_a_soft_target():
    a, b = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(DIVERGENCES["dice_squared"](a, b), dice_squared_multiclass(a.softmax(1), b.softmax(1)))


def test_kl_is_measured_from_the_clean_map():
    a, b = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    torch.testing.assert_close(DIVERGENCES["kl"](a, b), kl_divergence(b, a).mean())


@pytest.mark.parametrize(
    ("name", "is_zero"), [("dice_squared", True), ("kl", True), ("dice_global", False), ("dice_per_class", False)]
)
def test_only_squared_dice_and_kl_vanish_for_equal_soft_maps(name, is_zero):
    a = torch.randn(2, 3, 4, 5)
    assert (DIVERGENCES[name](a, a).abs().item() < 1e-6) == is_zero


@pytest.mark.parametrize("name", DIVERGENCES)
def test_divergences_of_an_absent_class_are_finite_and_small(name):
    logits = torch.tensor([[[60.0, 60.0], [-60.0, -60.0]]], requires_grad=True)
    divergence = DIVERGENCES[name](logits, logits.detach())
    divergence.backward()
    assert divergence.item() == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(logits.grad).all()


# ---- direction


def test_unit_scales_every_sample_over_all_its_elements():
    d = unit(torch.randn(3, 2, 4, 5) * torch.tensor([1.0, 10.0, 1e-3]).view(3, 1, 1, 1))
    torch.testing.assert_close(d.flatten(1).norm(dim=1), torch.ones(3), atol=1e-4, rtol=0)


def test_unit_of_zero_is_zero():
    assert not unit(torch.zeros(1, 1, 3)).any()


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_direction_is_the_normalised_gradient_at_the_probe(divergence):
    network, x = voxelwise(), torch.randn(2, 1, 6, 6)
    vat = VirtualAdversarialLoss(divergence=divergence, xi=0.5)
    clean = network(x).detach()
    torch.manual_seed(5)
    direction = vat.direction(network, x, clean, start(x))
    torch.manual_seed(5)
    d = unit(torch.rand_like(x) - 0.5).requires_grad_()
    DIVERGENCES[divergence](network(x + 0.5 * d), clean).backward()
    expected = d.grad / d.grad.flatten(1).norm(dim=1).view(2, 1, 1, 1)
    torch.testing.assert_close(direction, expected, atol=1e-4, rtol=1e-3)
    assert not direction.requires_grad


def test_adversarial_direction_changes_the_prediction_more_than_a_random_one():
    network, x = voxelwise(), torch.randn(2, 1, 6, 6)
    vat = VirtualAdversarialLoss(divergence="kl", xi=0.1, ip=3)
    clean = network(x).detach()
    adversarial = vat.divergence(network(x + vat.direction(network, x, clean, start(x))), clean)
    random = [vat.divergence(network(x + unit(torch.randn_like(x))), clean) for _ in range(20)]
    assert adversarial > max(random)


@pytest.mark.parametrize("eps", [0.5, 10.0])
def test_perturbation_has_norm_eps_and_the_probe_norm_xi_per_sample(eps):
    recorder, x = Recorder(voxelwise()), torch.randn(3, 1, 6, 6)
    VirtualAdversarialLoss(eps=eps, xi=4.0)(recorder, x, None)
    clean, probe, perturbed = recorder.inputs
    assert torch.equal(clean, x)
    torch.testing.assert_close((probe - x).flatten(1).norm(dim=1), torch.full((3,), 4.0), atol=1e-3, rtol=0)
    torch.testing.assert_close((perturbed - x).flatten(1).norm(dim=1), torch.full((3,), eps), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("patch", "factor"), [(None, 1.0), ((12, 12), 0.5), ((3, 3), 2.0), ((6, 6), 1.0)])
def test_lengths_grow_with_the_root_of_the_voxels(patch, factor):
    recorder, x = Recorder(voxelwise()), torch.randn(3, 1, 6, 6)
    VirtualAdversarialLoss(eps=3.0, xi=4.0, patch=patch)(recorder, x, None)
    _, probe, perturbed = recorder.inputs
    for image, length in ((probe, 4.0), (perturbed, 3.0)):
        norms = (image - x).flatten(1).norm(dim=1)
        torch.testing.assert_close(norms, torch.full((3,), factor * length), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("clean_target", "ip", "forwards"), [("recompute", 1, 3), ("recompute", 2, 4), ("reuse_main", 1, 2)]
)
def test_number_of_forwards(clean_target, ip, forwards):
    recorder, x = Recorder(voxelwise()), torch.randn(1, 1, 6, 6)
    VirtualAdversarialLoss(clean_target=clean_target, ip=ip)(recorder, x, recorder.network(x))
    assert len(recorder.inputs) == forwards


def test_direction_survives_low_precision():
    network, x = UNet2D(base_channels=2).eval(), torch.randn(2, 1, 32, 32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        direction = VirtualAdversarialLoss().direction(network, x, network(x).detach(), start(x))
    torch.testing.assert_close(direction.flatten(1).norm(dim=1), torch.ones(2), atol=1e-3, rtol=0)


FROM_MAIN = {"clean_target": "reuse_main", "direction": "main_pass"}


@pytest.mark.parametrize("divergence", ["dice_per_class", "dice_global"])
def test_direction_of_the_main_pass_is_its_gradient_at_the_image(divergence):
    recorder, x = Recorder(voxelwise()), torch.randn(3, 1, 6, 6, requires_grad=True)
    main = recorder(x)
    vat = VirtualAdversarialLoss(divergence=divergence, eps=2.0, **FROM_MAIN)
    loss = vat(recorder, x, main)
    again = x.detach().clone().requires_grad_()
    logits = recorder.network(again)
    DIVERGENCES[divergence](logits, main.detach()).backward()
    first, perturbed = recorder.inputs
    norms = again.grad.flatten(1).norm(dim=1).view(3, 1, 1, 1)
    torch.testing.assert_close(perturbed - first, 2 * again.grad / norms, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(loss, DIVERGENCES[divergence](recorder.outputs[1], main.detach()))


def test_a_small_probe_gives_the_direction_of_the_main_pass():
    network, x = voxelwise(), torch.randn(2, 1, 6, 6, requires_grad=True)
    vat, main = VirtualAdversarialLoss(xi=1e-3, **FROM_MAIN), network(x)
    probed = vat.direction(network, x.detach(), main.detach(), start(x))
    torch.testing.assert_close(vat.main_direction(x, main), probed, atol=1e-3, rtol=1e-2)


def test_direction_of_the_main_pass_leaves_its_graph_to_the_other_terms():
    network, x = VNet(base_channels=2, dropout=0.0).train(), torch.randn(2, 1, 16, 16, 16)
    main = network(x)
    main.square().mean().backward()
    wanted = [p.grad.clone() for p in network.parameters()]
    network.zero_grad()
    moving = x.clone().requires_grad_()
    main, before = network(moving), statistics(network)
    loss = VirtualAdversarialLoss(**FROM_MAIN)(network, moving, main)
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())
    assert all(p.grad is None for p in network.parameters())
    assert moving.grad is None
    (0 * loss + main.square().mean()).backward()
    for parameter, gradient in zip(network.parameters(), wanted):
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("other", [{"clean_target": "recompute"}, {"divergence": "kl"}, {"divergence": "dice_squared"}])
def test_direction_of_the_main_pass_excludes_what_has_no_gradient_there(other):
    with pytest.raises(ValueError, match="direction 'main_pass' needs"):
        VirtualAdversarialLoss(**{**FROM_MAIN, **other})


def test_direction_of_the_main_pass_excludes_a_crop():
    with pytest.raises(ValueError, match="direction 'main_pass' goes through the whole patch"):
        VirtualAdversarialLoss(**FROM_MAIN, crop=(4, 4))


# ---- what the loss touches


def test_loss_is_the_divergence_of_the_last_pass_from_the_clean_one():
    recorder, x = Recorder(voxelwise()), torch.randn(2, 1, 6, 6)
    loss = VirtualAdversarialLoss(divergence="kl")(recorder, x, None)
    clean, _, perturbed = recorder.outputs
    torch.testing.assert_close(loss, kl_divergence(clean, perturbed).mean())


def test_reused_main_logits_are_the_clean_target():
    recorder, x = Recorder(voxelwise()), torch.randn(1, 1, 6, 6)
    main = torch.randn(1, 3, 6, 6, requires_grad=True)
    loss = VirtualAdversarialLoss(divergence="kl", clean_target="reuse_main")(recorder, x, main)
    torch.testing.assert_close(loss, kl_divergence(main, recorder.outputs[-1]).mean())
    loss.backward()
    assert main.grad is None


def test_gradient_flows_through_the_perturbed_branch_alone():
    recorder, x = Recorder(voxelwise()), torch.randn(2, 1, 6, 6)
    VirtualAdversarialLoss(divergence="dice_squared")(recorder, x, None).backward()
    gradients = [p.grad.clone() for p in recorder.parameters()]
    clean, perturbed = recorder.outputs[0].detach(), recorder.inputs[-1]
    again = DIVERGENCES["dice_squared"](recorder.network(perturbed), clean)
    for gradient, expected in zip(gradients, torch.autograd.grad(again, list(recorder.parameters())), strict=True):
        torch.testing.assert_close(gradient, expected)


def test_frozen_passes_leave_batch_norm_statistics_untouched():
    network, x = VNet(base_channels=2).train(), torch.randn(2, 1, 16, 16, 16)
    main = network(x)
    before = statistics(network)
    VirtualAdversarialLoss(clean_target="reuse_main", ip=2)(network, x, main)
    for name, value in network.named_buffers():
        assert torch.equal(value, before[name]), name


def test_only_the_own_clean_pass_updates_batch_norm_statistics():
    network, x = VNet(base_channels=2, dropout=0.0).train(), torch.randn(2, 1, 16, 16, 16)
    VirtualAdversarialLoss()(network, x, None)
    after_loss = statistics(network)
    network.load_state_dict({k: torch.zeros_like(v) if "running_mean" in k or "tracked" in k else torch.ones_like(v)
                             if "running_var" in k else v for k, v in network.state_dict().items()})  # fmt: skip
    network(x)
    for name, value in network.named_buffers():
        torch.testing.assert_close(value, after_loss[name], msg=name)


@pytest.mark.parametrize("earlier", [None, 7.0])
def test_parameter_gradients_are_untouched_until_backward(earlier):
    network, x = VNet(base_channels=2).train(), torch.randn(2, 1, 16, 16, 16)
    for parameter in network.parameters():
        parameter.grad = None if earlier is None else torch.full_like(parameter, earlier)
    VirtualAdversarialLoss()(network, x, None)
    for parameter in network.parameters():
        assert parameter.grad is None if earlier is None else (parameter.grad == earlier).all()


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize(("clean_target", "dropout"), CHOICES)
def test_every_variant_gives_every_parameter_a_gradient(divergence, clean_target, dropout):
    network, x = UNet2D(base_channels=4).train(), torch.randn(2, 1, 16, 16)
    loss = VirtualAdversarialLoss(divergence=divergence, clean_target=clean_target, dropout=dropout)
    loss(network, x, network(x)).backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())
    assert network.encoder[0][0].weight.grad.abs().sum() > 0
    assert network.head.weight.grad.abs().sum() > 0


# ---- dropout


@pytest.mark.parametrize(("dropout", "same_masks"), [("independent", False), ("shared", True), ("off", True)])
def test_without_a_perturbation_only_independent_masks_change_the_prediction(dropout, same_masks):
    network, x = UNet2D(base_channels=4).train(), torch.randn(2, 1, 16, 16)
    loss = VirtualAdversarialLoss(divergence="kl", eps=0.0, dropout=dropout)(network, x, None)
    assert (loss.item() < 1e-9) == same_masks


def test_shared_dropout_is_still_active():
    recorder, x = Recorder(nn.Sequential(voxelwise(), nn.Dropout(0.5)).train()), torch.randn(2, 1, 6, 6)
    VirtualAdversarialLoss(dropout="shared")(recorder, x, None)
    clean, probe, perturbed = ((output == 0) for output in recorder.outputs)
    assert clean.any()
    assert torch.equal(clean, probe)
    assert torch.equal(clean, perturbed)


@pytest.mark.parametrize(
    "dropout",
    ["independent", "off", "shared"],
)
def test_random_numbers_after_the_loss_are_not_those_of_its_direction(dropout):
    recorder, x = Recorder(voxelwise()), torch.zeros(1, 1, 6, 6)
    VirtualAdversarialLoss(dropout=dropout, xi=1.0)(recorder, x, None)
    first_direction = recorder.inputs[1]
    assert not torch.allclose(unit(torch.rand_like(x) - 0.5), first_direction)


def test_switched_off_dropout_is_back_after_the_loss():
    network = nn.Sequential(voxelwise(), nn.Dropout(0.5)).train()
    VirtualAdversarialLoss(dropout="off")(network, torch.randn(1, 1, 6, 6), None)
    assert network[1].training


# ---- options


@pytest.mark.parametrize("option", ["divergence", "clean_target", "dropout", "direction"])
def test_unknown_options_are_refused_by_name(option):
    with pytest.raises(ValueError, match=f"{option} must be one of .*'wrong'"):
        VirtualAdversarialLoss(**{option: "wrong"})


@pytest.mark.parametrize("dropout", ["shared", "off"])
def test_reused_main_logits_exclude_other_dropout_modes(dropout):
    with pytest.raises(ValueError, match="reuse_main"):
        VirtualAdversarialLoss(clean_target="reuse_main", dropout=dropout)


# ---- on a part of the patch


def test_a_crop_keeps_the_whole_term_to_one_place_of_all_samples():
    x = torch.randn(3, 1, 12, 10)
    term, network = VirtualAdversarialLoss(crop=(8, 20), patch=(8, 10), xi=1e-2), Recorder(voxelwise())
    for seed in range(3):
        torch.manual_seed(seed)
        rows, columns = term.draw(x.shape[2:])
        torch.manual_seed(seed)
        network.inputs.clear()
        term(network, x, network.network(x))
        clean, _, last = network.inputs
        assert torch.equal(clean, x[..., rows, columns]) and clean.shape == (3, 1, 8, 10)
        norms = torch.linalg.vector_norm((last - clean).flatten(1), dim=1)
        torch.testing.assert_close(norms, torch.full((3,), 10.0), atol=1e-3, rtol=1e-4)


def test_a_crop_is_drawn_at_every_place():
    term = VirtualAdversarialLoss(crop=(8, 10))
    starts = {tuple(part.start for part in term.draw((10, 11))) for _ in range(200)}
    assert starts == {(row, column) for row in range(3) for column in range(2)}


def test_a_crop_with_the_main_pass_as_target_takes_its_part():
    x, network = torch.randn(2, 1, 9, 9), nn.Conv2d(1, 3, 1)
    term = VirtualAdversarialLoss(crop=(4, 4), clean_target="reuse_main", eps=1e-6, divergence="kl")
    assert float(term(network, x, network(x))) < 1e-3 < float(term(network, x, torch.flip(network(x), dims=[2])))
