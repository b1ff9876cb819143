"""SynFoC's published functions called on fresh tensors, beside what the preset ``official`` builds."""

import numpy as np
import torch
from synfoc import masked_loss
from torch.nn import functional as F

from ..peers import BATCHES, Peer, apart, loss_and_gradient
from ..recorded import preset
from ..ssnet.peer import network
from .comparisons import objective


def masked(published, seed):
    settings = objective().settings
    for classes in (2, 3, 4):
        for batch in BATCHES:
            z, y = torch.randn(batch, classes, 12, 12), torch.randint(0, classes, (batch, 1, 12, 12))
            mask = torch.rand(batch, 1, 12, 12) > 0.4

            def ours(z, y=y, mask=mask):
                return masked_loss(z, y, mask, settings.mask_background, settings.dice_eps)

            def theirs(z, y=y, mask=mask, classes=classes):
                ce = (F.cross_entropy(z, y[:, 0], reduction="none") * mask[:, 0]).mean()
                options = {"softmax": True, "sigmoid": False, "multi": False}
                return ce + published(classes)(z, y, mask=mask.float(), **options)

            yield from loss_and_gradient(ours, theirs, z, loss=2e-6)


def confidence(published, seed, classes, parts=None, layers=lambda maps: maps):
    smc = objective(num_classes=classes, parts=parts).smc
    smc.mode = "self"
    for batch in (2, 3, 6):
        student, teacher = torch.randint(0, classes, (2, batch, 14, 14))
        student[0], teacher[-1] = 0, 0
        found = published(np.asarray(layers(student)), layers(teacher), ret_arr=True)
        yield "agreement of each image", apart(smc(student, teacher, teacher, 1), np.mean(found, axis=0)), 1e-6


def one_part(published, seed):
    yield from confidence(published, seed, 2)


def nested_parts(published, seed):
    def layers(maps):
        return torch.stack([maps == 1, maps > 0], dim=1).float()

    yield from confidence(published, seed, 3, {"cup": [1], "disc": [1, 2]}, layers)


def three_parts(published, seed):
    yield from confidence(published, seed, 4)


def ramp(published, seed):
    for iterations in (60000, 30000, 750):
        method = objective(iterations=iterations, epoch_length=1)
        steps = range(0, iterations, max(1, iterations // 97))
        found = [method.weight("consensus", s + 1) - published(s // (iterations / 200), 200.0) for s in steps]
        yield "weight", max(map(abs, found)), 1e-12


def unet(published, seed):
    for channels, classes in ((1, 2), (3, 3)):
        options = {"in_channels": channels, "num_classes": classes, "sam#kind": "none"}
        ours = preset("synfoc", "prostate", "official", **options).get_parsed_content("students")["unet"]
        yield from network(published(channels, classes), ours, torch.randn(2, channels, 32, 32).double())


M = "code/utils/metrics.py: "
PEERS = [
    Peer("code/utils/losses.py: DiceLossWithMask", masked),
    Peer(f"{M}dice_coeff", one_part),
    Peer(f"{M}dice_coeff_2label", nested_parts),
    Peer(f"{M}dice_coeff_3label", three_parts),
    Peer("code/utils/ramps.py: sigmoid_rampup", ramp),
    Peer("code/networks/unet_model.py: UNet", unet),
]
SCRIPT = "in a script that reads its command line and data; recorded"
ABSENT = {
    "code/train.py: train": SCRIPT,
    "code/train.py: obtain_cutmix_box": SCRIPT,
    "code/train.py: get_current_consistency_weight": "in that script; its ramp is called",
    "code/train.py: update_Unet_ema_variables": SCRIPT,
    "code/test.py: test": SCRIPT,
    "code/dataloaders/custom_transforms.py: ToTensor": "takes a sample of the loader; recorded",
    "code/dataloaders/dataloader.py: ProstateSegmentation": "reads files; recorded",
    "code/dataloaders/dataloader.py: MNMSSegmentation": "reads files; recorded",
    "code/segment_anything/modeling/sam.py: Sam.postprocess_masks": "needs a whole SAM; recorded",
}
