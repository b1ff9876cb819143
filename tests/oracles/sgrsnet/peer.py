"""SGRS-Net's published functions called on fresh tensors, beside what the preset ``official`` builds."""

from copy import deepcopy

import torch
from ignite.engine import Engine
from torch.nn import functional as F

from ..peers import BATCHES, Peer, apart, loss_and_gradient
from ..recorded import preset
from ..ssnet.peer import network, ramp_rows
from .comparisons import config_of, handlers_of


def supervised(published, seed):
    for classes in (2, 3, 4):
        ours = config_of(num_classes=classes).get_parsed_content("objective#supervised")
        for batch in BATCHES:
            z, y = torch.randn(batch, classes, 8, 7, 6), torch.randint(0, classes, (batch, 1, 8, 7, 6))

            def theirs(z, y, classes=classes):
                return (F.cross_entropy(z, y[:, 0]) + published(classes)(z.softmax(dim=1), y)) / 2

            yield from loss_and_gradient(ours, theirs, z, y)


def regional_dice(published, seed):
    term = config_of().get_parsed_content("objective#regional")
    for kind, smooth in (("con", 1.0), ("nr", term.eta)):
        for batch in BATCHES:
            z, y = torch.randn(batch, 2, 8, 7, 6), torch.randint(0, 2, (batch, 8, 7, 6))
            mask, target = torch.rand(batch, 8, 7, 6) > 0.6, F.one_hot(y, 2).movedim(-1, 1).float()

            def ours(z, kind=kind, mask=mask, target=target):
                return term.dice(kind, z.softmax(dim=1), target, mask)

            def theirs(z, smooth=smooth, mask=mask, y=y):
                return published(smooth=smooth)(z.softmax(dim=1), y[:, None], loss_mask=mask[:, None].float())

            yield from loss_and_gradient(ours, theirs, z)


def average(published, seed):
    """The first of both averages, and the decay of the student, over 20 iterations."""
    config = config_of()
    ours = [config.get_parsed_content(name) for name in ("network", "teacher")]
    theirs = [deepcopy(net) for net in ours]
    updates = published(*theirs, alpha=0.99)
    changes = torch.randn(20, sum(p.numel() for p in ours[0].parameters()))

    def moved(student, row):
        for p, part in zip(student.parameters(), row.split([p.numel() for p in student.parameters()])):
            p.data.add_(0.01 * part.view_as(p))

    engine = Engine(lambda engine, row: moved(ours[0], row))
    for handler in handlers_of(config)[:2]:  # the other average follows them
        handler.attach(engine)
    engine.run(list(changes))
    for row in changes:
        moved(theirs[0], row)
        updates.step()
    for name, a, b in zip(("student", "teacher"), ours, theirs):
        yield f"{name}, 20 steps", max(apart(x, y) for x, y in zip(a.parameters(), b.parameters())), 5e-6


def vnet(published, seed):
    ours = preset("sgrsnet", "la", "official").get_parsed_content("network")
    theirs = published(n_channels=1, n_classes=2, normalization="batchnorm", has_dropout=True)
    yield from network(theirs, ours, torch.randn(3, 1, 32, 16, 16).double())


def ramp(published, seed):
    yield from ramp_rows(config_of(), "regional", lambda step: published((step - 1) // 150, 40.0))


PEERS = [
    Peer("code/utils/losses.py: DiceLoss", supervised),
    Peer("code/utils/losses.py: SoftDiceLoss", regional_dice),
    Peer("code/utils/util2.py: WeightEMA", average),
    Peer("code/networks/VNet.py: VNet", vnet),
    Peer("code/utils/ramps.py: sigmoid_rampup", ramp),
]
ABSENT = {
    "code/train.py: train": "a script that reads data; recorded",
    "code/train.py: update_ema_variables": "in a script; recorded",
    "code/train.py: get_current_consistency_weight": "in a script; its ramp is called",
    "code/utils/mixmatch_util.py: mix_match_just_k1": "draws from numpy, which ours do not; recorded with its draws",
}
