"""DualNet's published functions called on fresh tensors, beside what the presets ``official`` build.

``train_LA.py`` imports ``utils`` and ``dataloaders``, which its repository lacks: those of WYC-321/MCF belong there.
"""

import numpy as np
import torch
from torch import nn

from common.losses import entropy

from ..peers import BATCHES, Peer, apart, loss_and_gradient
from ..recorded import preset
from ..ssnet.peer import WithFeature, logits_alone, network, ramp_rows
from .comparisons import config_of, objective_of


def fresh(batch):
    return torch.randn(batch, 2, 8, 7, 6), torch.randn(batch, 2, 8, 7, 6)


def peer_supervision(published, seed):
    term = objective_of().parts["ue"]
    for batch in BATCHES:
        yield from loss_and_gradient(lambda a, b: term((a, b)), lambda a, b: published(a, b, T=0.5), *fresh(batch))


def cosine(published, seed):
    term = objective_of().parts["cosine"]
    for batch in BATCHES:
        yield from loss_and_gradient(
            lambda a, b: term((a, b)), lambda a, b: published(a.softmax(dim=1), b.softmax(dim=1)), *fresh(batch)
        )


def filtered(published, seed):
    """Fed with logits and detached probabilities where they belong."""
    for alpha in (20, 50, 70):
        term = objective_of("official_repaired", alpha=alpha).parts["efs"]
        for batch in BATCHES:
            a, b = fresh(batch)
            features = torch.randn(batch, 16, 8, 7, 6)

            def theirs(a, b, alpha=alpha, features=features):
                pa, pb = a.detach().softmax(dim=1), b.detach().softmax(dim=1)
                return sum(published(a, b, pa, pb, features, percent=alpha)[:2])

            if _is_clear(a, b, alpha):
                yield from loss_and_gradient(lambda a, b, term=term: term((a, b))[0], theirs, a, b, loss=2e-6)


def _is_clear(a, b, alpha):
    """Whether no voxel is so near to the limit that the last digit decides."""
    for h in (entropy(z).flatten() for z in (a, b)):
        if (h - np.percentile(h.numpy(), alpha)).abs().min() < 1e-6:
            return False
    return True


def dice(published, seed):
    overlap = objective_of().overlap
    for batch in BATCHES:
        z, y = torch.randn(batch, 2, 8, 7, 6), torch.randint(0, 2, (batch, 8, 7, 6))
        yield from loss_and_gradient(overlap, lambda z, y: published(z.softmax(dim=1)[:, 1], y == 1), z, y)


def resnet(published, seed):
    ours = preset("dualnet", "la", "official").get_parsed_content("network").networks[0]
    theirs = published(n_channels=1, n_classes=2, normalization="batchnorm", has_dropout=True)
    yield from network(theirs, ours, torch.randn(2, 1, 32, 16, 16).double())


def windows(published, seed):
    pair = [WithFeature(3, 4, 2).eval() for _ in range(2)]
    for shape, patch, stride in (((20, 17, 13), (12, 12, 8), (5, 5, 3)), ((9, 30, 6), (12, 12, 8), (7, 7, 4))):
        volume = torch.randn(shape)
        config = preset("dualnet", "la", "official", patch_size=list(patch), stride=list(stride))
        mean, inferer = config.get_parsed_content("network"), config.get_parsed_content("validate#inferer")
        mean.networks = nn.ModuleList(map(logits_alone, pair))
        with torch.no_grad():
            _, score = published(*pair, volume.numpy(), stride[0], stride[2], patch, num_classes=2)
            p = inferer(volume[None, None], mean)[0]
        yield "probabilities", apart(p, torch.from_numpy(score)), 2e-6


def ramp(published, seed):
    yield from ramp_rows(config_of(), "pgl", lambda step: 0.1 * published((step - 1) // 150, 40.0))


T = "train_LA.py: "
PEERS = [
    Peer(f"{T}uncertainty_rectified_loss", peer_supervision),
    Peer(f"{T}compute_uxi_loss_with_mean_teacher", filtered),
    Peer(f"{T}consist_loss", cosine),
    Peer("networks/ResNet34.py: Resnet34", resnet),
    Peer("test_util.py: test_single_case", windows),
    Peer("utils/losses.py: dice_loss", dice),
    Peer("utils/ramps.py: sigmoid_rampup", ramp),
]
ABSENT = {
    "train_LA.py: loss_fn": "with a random hundredth of the candidates; recorded with all",
    "train_LA.py: get_current_consistency_weight": "its ramp is called",
    "train_LA.py: __main__": "the loop of a script that reads data; recorded",
    "MCF code/utils/losses.py: softmax_mse_loss": "one line of the loop with it; recorded",
    "MCF code/utils/losses.py: dice_loss": "called as utils/losses.py of the clone, where MCF's belongs",
    "MCF code/utils/ramps.py: sigmoid_rampup": "called as utils/ramps.py of the clone, where MCF's belongs",
}
