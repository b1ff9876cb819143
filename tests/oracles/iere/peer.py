"""IERE's published functions called on fresh tensors, beside what the preset ``official`` builds."""

import numpy as np
import torch

from common.losses import jaccard_multiclass, mixed_loss
from common.sam.prompts import boxes_from_masks

from ..peers import BATCHES, Peer, apart, loss_and_gradient
from .comparisons import official, published_boxes

SIDE = 224  # the published square is drawn in images of this size alone


def mixture(published, seed):
    square = official().get_parsed_content("objective#box")
    for batch in BATCHES:
        for weights in ((1.0, 0.5), (0.5, 1.0)):
            z, (a, b) = torch.randn(batch, 2, 40, 40), torch.randint(0, 2, (2, batch, 40, 40))
            corners = torch.tensor([[[5, 9], [31, 35]]]).expand(batch, -1, -1)
            box = square.apply(corners, (40, 40))

            def ours(z, a=a, b=b, box=box, weights=weights):
                return mixed_loss(z, a, b, box, weights)

            def theirs(z, a=a, b=b, box=box, weights=weights):
                outside = (~box.bool()).long().view(len(z), 40, 40)
                return published(z, a, b, outside, l_weight=weights[0], u_weight=weights[1])

            yield from loss_and_gradient(ours, theirs, z, loss=2e-6)


def squares(published, seed):
    np.random.seed(seed)
    for ratio in (0.3, 0.5, 0.66, 0.9):
        box = official(**{"bcp#mask_ratio": ratio}).get_parsed_content("objective#box")
        mask, loss_mask = published(torch.zeros(3, 1, SIDE, SIDE), ratio)
        drawn = torch.cat([box.draw(1, (SIDE, SIDE)) for _ in range(500)])
        area = (drawn[:, 1] - drawn[:, 0]).prod(dim=1)
        yield "pixels of the square", float((area - int((mask == 0).sum())).abs().max()), 0
        yield "one square for the batch", apart(loss_mask, mask.expand_as(loss_mask)), 0
        first = (mask == 0).nonzero().min(dim=0).values
        yield "first corner beyond the last place", float((first - drawn[:, 0].max(dim=0).values).clamp(min=0).max()), 0


def boxes(published, seed):
    masks = torch.zeros(6, 50, 60, dtype=torch.long)
    for mask in masks:
        (y0, y1), (x0, x1) = torch.randint(0, 50, (2,)).sort().values, torch.randint(0, 60, (2,)).sort().values
        mask[y0 : y1 + 1, x0 : x1 + 1] = 1
    found, _ = boxes_from_masks(masks == 1)
    theirs = torch.tensor([[float(v) for v in published(mask.numpy())] for mask in masks])
    yield "boxes", apart(published_boxes(found, -1), theirs), 0


def pseudo_labels(published, seed):
    for batch in BATCHES:
        z = torch.nn.functional.avg_pool2d(torch.randn(batch, 2, 60, 60), 9, 1, 4) * 20
        z[:, :, :3] = 0  # a probability of exactly a half
        for kind, nms in (("none", 0), ("largest", 1)):
            ours = official(cc_filter=kind).get_parsed_content("objective").pseudo_label(z)
            theirs = torch.as_tensor(published(z, nms=nms))
            yield (
                "raw" if not nms else "size of the largest",
                *(
                    (apart(ours, theirs), 0)
                    if not nms
                    else (float((ours.sum((1, 2)) - theirs.sum((1, 2))).abs().max()), 0)
                ),
            )


def jaccard(published, seed):
    for classes in (2, 3, 4):
        for batch in BATCHES:
            z, y = torch.randn(batch, classes, 20, 20), torch.randint(0, classes - (batch == 1), (batch, 20, 20))
            yield from loss_and_gradient(jaccard_multiclass, published(mode="multiclass"), z, y, loss=2e-6)


U = "utils/utils.py: "
PEERS = [
    Peer(f"{U}mix_loss", mixture),
    Peer(f"{U}context_mask", squares),
    Peer(f"{U}mask2box", boxes),
    Peer("utils/sampler.py: get_cut_mask", pseudo_labels),
    Peer("segmentation_models_pytorch/losses/jaccard.py: JaccardLoss", jaccard),
]
SCRIPT = "in a script that loads a SAM when it is imported; recorded"
ABSENT = {
    "train_sam_prostate_cp.py: training_step": SCRIPT,
    "train_sam_prostate_cp.py: training_sam": SCRIPT,
    "train_sam_prostate_cp.py: get_ra_loss": SCRIPT,
    "config_sam_prostate_cp.yaml: CosineAnnealingWarmRestarts": "PyTorch's scheduler; recorded",
    "inference_prostate.py: out_of_domain_prediction": "a script that loads weights and data; recorded",
    "utils/inference_utils.py: pad": "a library's; recorded",
}
