"""What the three 3D methods share: networks, windows, metrics and the largest component, as the presets have them."""

import numpy as np
import torch
from torch import nn

from common.data import ClassesForDice
from common.metrics import case_metrics

from ..recorded import Record, gradient, preset
from .weights import hashed, weigh


def some(tensor):
    """Every third voxel along each axis, beginning at 1."""
    return tensor[(..., *[slice(1, None, 3)] * (tensor.dim() - 2))]


def channel_means(tensor):
    return tensor.detach().double().transpose(0, 1).flatten(1).mean(dim=1)


def network_rows(record, config, member=None):
    """The network of a configuration: in float32 as shipped, its gradient in float64."""
    network = config.get_parsed_content("network")
    network = network if member is None else network.networks[member]
    for module in network.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
    shape, seed = record["in_image_shape"].tolist(), int(record["in_seed"])
    image = 1.7 * hashed(np.prod(shape), 100000 * seed + 99999).view(shape)
    layers = weigh(network, image.float(), seed)
    yield "layers", record.difference("layers", len(layers)), 0
    weights = [p for layer in layers for p in layer.parameters()]
    yield "parameters", record.difference("parameters_of_layers", sum(p.numel() for p in weights)), 0
    with torch.no_grad():
        logits, features = network.eval().forward_features(image.float())
    yield "eval logits", record.difference("eval_logits", some(logits)), 2e-3
    means = record.difference("eval_logits_channel_means", channel_means(logits))
    yield "eval logits, channel means", means, 1e-3
    means = record.difference("eval_feature_channel_means", channel_means(features))
    yield "eval features, channel means", means, 1e-3
    first = next(layer for layer in layers if hasattr(layer, "running_mean"))
    with torch.no_grad():
        logits = network.train()(image.float())
    yield "train logits", record.difference("train_logits", some(logits)), 1e-3
    means = record.difference("train_logits_channel_means", channel_means(logits))
    yield "train logits, channel means", means, 1e-3
    for what in ("mean", "var"):
        found = getattr(first, f"running_{what}")
        yield "first batch-norm statistics", record.difference(f"train_first_norm_{what}", found), 1e-5
    x = image.requires_grad_()
    weigh(network.double(), x, seed)
    logits = network.train()(x)
    (slope,) = gradient((logits * hashed(logits.numel(), seed).view(logits.shape)).sum(), x)
    yield "gradient of image (float64)", record.difference("train_grad_image", some(slope)), 1e-4


def size_of(record):
    return {"base_channels": int(record["in_base_channels"]), "num_classes": int(record["in_classes"])}


def vnet(record: Record):
    yield from network_rows(record, preset("ssnet", "la", "official", **size_of(record)))


def resnet34_vnet(record: Record):
    yield from network_rows(record, preset("dualnet", "la", "official", **size_of(record)), 0)


def unet2d(record: Record):
    yield from network_rows(record, preset("ssnet", "acdc", "official_2d", **size_of(record)))


class Doubled(nn.Module):
    """Twice the output of a convolution of kernel 3, which notes the windows it sees."""

    def __init__(self, record, name):
        super().__init__()
        self.weight, self.bias = record[f"in_{name}_weight"], record[f"in_{name}_bias"]
        self.factor, self.windows = record["in_output_factor"].item(), []

    def forward(self, x):
        self.windows += [tuple(window.flatten().tolist()) for window in x]
        return self.factor * nn.functional.conv3d(x, self.weight, self.bias, padding=1)


def starts_of(network, volume, window):
    """Where in the unpadded volume the windows that a network saw start; negative in the padding."""
    missing = [max(w - s, 0) for w, s in zip(window, volume.shape)]
    before = [m // 2 for m in missing]
    sides = [side for m, b in zip(reversed(missing), reversed(before)) for side in (b, m - b)]
    padded = nn.functional.pad(volume, sides)
    blocks = padded.unfold(0, window[0], 1).unfold(1, window[1], 1).unfold(2, window[2], 1)
    places = {tuple(blocks[i].flatten().tolist()): i for i in np.ndindex(*blocks.shape[:3])}
    return {tuple(p - b for p, b in zip(places[window], before)) for window in network.windows}


def windows_of_one(record: Record):
    """Probabilities, labels and places of the windows of one network."""
    window = record["in_window"].tolist()
    config = preset("ssnet", "la", "official", patch_size=window, stride=record["in_stride"].tolist())
    inferer, network = config.get_parsed_content("validate#inferer"), Doubled(record, "first")
    for number in (1, 2, 3):
        start, volume = f"volume{number}_", record[f"in_volume{number}_image"]
        network.windows.clear()
        p = inferer(volume[None, None], network)[0]
        wrong = starts_of(network, volume, window) ^ {tuple(s) for s in record[f"out_{start}starts"].tolist()}
        yield "starts that differ", len(wrong), 0
        yield from predicted(record, f"{start}single", p)


def windows_of_two(record: Record):
    """Mean probabilities and labels of two networks."""
    options = {"patch_size": record["in_window"].tolist(), "stride": record["in_stride"].tolist()}
    config = preset("dualnet", "la", "official", **options)
    mean, inferer = config.get_parsed_content("network"), config.get_parsed_content("validate#inferer")
    mean.networks = nn.ModuleList(Doubled(record, name) for name in ("first", "second"))
    for number in (1, 2, 3):
        p = inferer(record[f"in_volume{number}_image"][None, None], mean)[0]
        yield from predicted(record, f"volume{number}_mean", p)


def predicted(record, start, p):
    yield "foreground", record.difference(f"{start}_foreground", p[1]), 2e-6
    yield "label", record.difference(f"{start}_label", p.argmax(dim=0)), 0


def masks_of(record, name):
    shape = record["in_mask_shape"].tolist()
    return np.unpackbits(record[f"in_{name}"].numpy(), axis=1)[:, : np.prod(shape)].reshape(-1, *shape)


def metrics(record: Record):
    pairs = list(zip(masks_of(record, "prediction"), masks_of(record, "label")))
    medpy = record["out_dice_jaccard_hd95_asd"].numpy()
    for (pred, label), spacing, row in zip(pairs, record.arrays["in_spacing"], medpy):
        found = case_metrics(pred, label, 2, spacing)[0]
        if pred.any() and label.any():
            yield "dice and jaccard", max(abs(found["dice"] - row[0]), abs(found["jaccard"] - row[1])), 1e-12
            yield "95HD and ASD in mm", max(abs(found["hd95"] - row[2]), abs(found["asd"] - row[3])), 1e-9
        elif pred.any() or label.any():
            yield "dice and jaccard", max(abs(found["dice"] - row[0]), abs(found["jaccard"] - row[1])), 1e-12
        else:
            perfect = case_metrics(pred, label, 2, empty_policy="penalised")[0]
            yield "jaccard of two empty masks, empty_policy: penalised", abs(perfect["jaccard"] - row[1]), 1e-12


def published_evaluation(record: Record):
    pairs = zip(masks_of(record, "prediction"), masks_of(record, "label"))
    for (pred, label), row in zip(pairs, record["out_table_of_published_evaluation"].numpy()):
        if not np.isnan(row).any():  # where the published function does not fail
            found = list(case_metrics(pred, label, 2)[0].values())[1:5]
            yield "Dice, Jaccard, 95HD and ASD in voxels", float(np.abs(np.array(found) - row).max()), 1e-9


def largest_component(record: Record):
    transform = ClassesForDice(2, largest_component=True)
    for place, (mask, largest) in enumerate(zip(record["in_masks"], record["out_largest"])):
        probabilities = torch.stack([1 - mask, mask]).float()
        found = transform({"pred": probabilities, "label": mask[None]})["pred"][1]
        yield "tie" if place == 3 else "mask", float((found != largest).sum()), 0
