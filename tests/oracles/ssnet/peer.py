"""SS-Net's published functions called on fresh tensors, beside what the presets ``official`` build."""

from copy import deepcopy

import numpy as np
import torch
from torch import nn

from common.data import ClassesForDice
from common.metrics import case_metrics

from ..peers import BATCHES, Peer, apart, first, loss_and_gradient, without_dropout
from ..recorded import TinyNetwork, preset
from ..shared3d.weights import weigh
from .comparisons import config_of


class WithFeature(TinyNetwork):
    """Returns the feature too, as published networks do."""

    def forward(self, x):
        return self.forward_features(x)


def logits_alone(network):
    """A copy that returns logits alone, as ours do."""
    copy = deepcopy(network)
    copy.__class__ = TinyNetwork
    return copy


def binary_dice(published, seed):
    ours = config_of(3).get_parsed_content("objective#supervised")
    for batch in BATCHES:
        z, y = torch.randn(batch, 2, 7, 6, 5), torch.randint(0, 2, (batch, 7, 6, 5))
        yield from loss_and_gradient(ours, lambda z, y: published(z.softmax(dim=1)[:, 1], y == 1), z, y)


def multiclass_dice(published, seed):
    for classes in (2, 3, 4):
        ours = preset("ssnet", "acdc", "official_2d", num_classes=classes, base_channels=4)
        ours = ours.get_parsed_content("objective#supervised")
        for batch in BATCHES:
            z, y = torch.randn(batch, classes, 9, 7), torch.randint(0, classes, (batch, 9, 7))
            yield from loss_and_gradient(
                ours, lambda z, y, c=classes: published(c)(z.softmax(dim=1), y.unsqueeze(1)), z, y
            )


def smoothness(published, seed, dims, classes):
    term = config_of(dims).get_parsed_content("lds")
    for batch in BATCHES:
        network = WithFeature(dims, 8, classes)
        x, grads, losses = torch.randn(batch, 1, *(8,) * dims), [], []
        for call in (lambda f, x: term(f, x, None), published(term.xi, term.eps, term.ip)):
            torch.manual_seed(seed)  # both draw the start of the direction as uniform numbers in the order of x
            model = (deepcopy(network) if losses else logits_alone(network)).train()
            losses.append(call(model, x))
            parameters = list(model.parameters())
            grads.append(torch.cat([g.flatten() for g in torch.autograd.grad(losses[-1], parameters)]))
        yield "loss", apart(*losses), 1e-6
        yield "gradient of the network", apart(*grads), 2e-5


def smoothness_3d(published, seed):
    yield from smoothness(published, seed, 3, 2)


def smoothness_2d(published, seed):
    yield from smoothness(published, seed, 2, 4)


def network(theirs, ours, image):
    """Logits of both networks with the same weights, dropout off, in double precision."""
    pair = [without_dropout(net) for net in (ours, theirs)]
    for net in pair:
        weigh(net, image, 1)
    with torch.no_grad():
        yield "logits", apart(*(first(net.eval()(image)) for net in pair)), 1e-9
        yield "logits with batch statistics", apart(*(first(net.train()(image)) for net in pair)), 1e-9


def vnet(published, seed):
    for classes in (2, 3):
        ours = preset("ssnet", "la", "official", num_classes=classes).get_parsed_content("network")
        theirs = published(n_channels=1, n_classes=classes, normalization="batchnorm", has_dropout=True)
        yield from network(theirs, ours, torch.randn(3, 1, 32, 16, 16).double())


def unet(published, seed):
    for classes in (2, 4):
        ours = preset("ssnet", "acdc", "official_2d", num_classes=classes).get_parsed_content("network")
        yield from network(published(in_chns=1, class_num=classes), ours, torch.randn(3, 1, 48, 32).double())


def windows(published, seed):
    net = WithFeature(3, 4, 2).eval()
    for shape, patch, stride in (((20, 17, 13), (12, 12, 8), (5, 5, 3)), ((9, 30, 6), (12, 12, 8), (7, 7, 4))):
        volume = torch.randn(shape)
        options = {"patch_size": list(patch), "stride": list(stride)}
        inferer = preset("ssnet", "la", "official", **options).get_parsed_content("validate#inferer")
        label, score = published(net, volume.numpy(), stride[0], stride[2], patch, num_classes=1)
        with torch.no_grad():
            p = inferer(volume[None, None], lambda x: net(x)[0])[0]
        yield "foreground", apart(p[1], torch.from_numpy(np.asarray(score[0]))), 2e-6
        clear = (p[1] - 0.5).abs() > 1e-5
        yield "label", float((p.argmax(dim=0) != torch.from_numpy(np.asarray(label)))[clear].sum()), 0


def largest(published, seed):
    ours = ClassesForDice(2, largest_component=True)
    for _ in range(5):
        mask = torch.rand(12, 11, 10) > 0.85
        found = ours({"pred": torch.stack([~mask, mask]).float(), "label": mask[None]})["pred"][1]
        yield "mask", float((found.bool() != torch.from_numpy(np.asarray(published(mask.numpy())))).sum()), 0


def metrics(published, seed):
    for threshold in (0.3, 0.5, 0.8):
        pred, label = (torch.rand(2, 9, 8, 7) > threshold).numpy()
        found = list(case_metrics(pred, label, 2)[0].values())[1:5]
        yield "Dice, Jaccard, 95HD, ASD", float(np.abs(np.array(found) - published(pred, label)).max()), 1e-9


def ramp_rows(config, term, published):
    """Weight of a term in iterations, 1 for the first, against a published function of them."""
    objective = config.get_parsed_content("objective")
    found = [objective.weight(term, step) - published(step) for step in range(1, 9000, 37)]
    yield "weight", max(map(abs, found)), 1e-12


def ramp(published, seed):
    yield from ramp_rows(config_of(3), "lds", lambda step: published(step // 150, 40.0))


def separation(published, seed):
    for dims, classes in ((3, 2), (2, 4)):
        term = config_of(dims).get_parsed_content("separation").train()
        model = nn.Module()
        for c in range(classes):
            setattr(model, f"contrastive_class_selector_{c}", term.feature_selectors[c])
            setattr(model, f"contrastive_class_selector_memory{c}", term.memory_selectors[c])
        memory = [None, *(torch.randn(20, 32) for _ in range(1, classes))]
        for c in range(1, classes):
            term.memory[c, :20], term.stored[c] = memory[c], 20
        term.projector, term.predictor = nn.Identity(), nn.Identity()
        rows, ids = torch.randn(1, 90, 32), torch.randint(0, classes, (1, 90))
        kept = [m if m is None else m.numpy() for m in memory]

        def theirs(rows, ids, model=model, classes=classes, kept=kept):
            return published(model, rows[0], ids[0], classes, kept)

        yield from loss_and_gradient(term.contrast, theirs, rows, ids)


L, P = "code/utils/losses.py: ", "code/utils/test_3d_patch.py: "
PEERS = [
    Peer(f"{L}Binary_dice_loss", binary_dice),
    Peer(f"{L}DiceLoss", multiclass_dice),
    Peer(f"{L}VAT3d", smoothness_3d),
    Peer(f"{L}VAT2d", smoothness_2d),
    Peer("code/utils/contrastive_losses.py: contrastive_class_to_class_learned_memory", separation),
    Peer("code/utils/ramps.py: sigmoid_rampup", ramp),
    Peer("code/networks/VNet.py: VNet", vnet),
    Peer("code/networks/unet.py: UNet", unet),
    Peer(f"{P}test_single_case", windows),
    Peer(f"{P}getLargestCC", largest),
    Peer(f"{P}calculate_metric_percase", metrics),
]
ABSENT = {
    "code/train_ss_3d.py: train": "a script that reads data; recorded",
    "code/train_ss_2d.py: train": "a script that reads data; recorded",
    "code/train_ss_3d.py: get_current_consistency_weight": "in a script; its ramp is called",
    "code/train_ss_2d.py: get_current_consistency_weight": "in a script; its ramp is called",
    "code/utils/feature_memory.py: FeatureMemory": "chooses by scores of the network's own heads; recorded",
    "metric.binary: dc, jc, hd95, asd": "medpy, called by calculate_metric_percase",
}
