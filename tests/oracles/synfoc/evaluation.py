"""SynFoC: how the published code loads an image, brings the prediction to the U-Net's size, and measures it."""

import numpy as np
import torch
from monai.data import MetaTensor
from torch.nn import functional as F

from common.data import ClassesForDice
from common.metrics import case_metrics, summarize_domains
from common.transforms import resize_nearest

from ..recorded import Record, preset
from ..recorded_2d import Recorded, levels

DATA = {2: "prostate", 4: "mnms"}
METRICS = ("dice", "jaccard", "hd95", "asd")


def official(record, **options):
    """``official.yaml`` on the layer of the data set with these classes, at the sizes of the record."""
    classes, (large, side) = int(record["in_classes"]), (int(record[f"in_{name}"]) for name in ("S", "P"))
    sizes = {"unet": [side, side], "sam": [large, large]}
    options = {"num_classes": classes, "patch_size": [side, side], "sizes": sizes, "amp": False, **options}
    return preset("synfoc", DATA[classes], "official", **options)


def turned(record, *names):
    """Maps as files are read: with x as the first axis."""
    return [record[name].mT for name in names]


def test_time(record: Record):
    image, label, logits = turned(record, "in_image", "in_label", "in_logits_sam")
    image = image[:, None] / 255
    for deploy, name in (("sam", "image_S"), ("unet", "image_P")):
        network = Recorded(logits)
        official(record, deploy=deploy).get_parsed_content("inferer")(image, network)
        yield name, record.difference(name, levels(network.seen[0])[:, 0].mT), 0
    for size, name in ((int(record["in_S"]), "classes_S"), (int(record["in_P"]), "classes_P")):
        maps = official(record, metric_size=[size, size]).get_parsed_content("inferer")(image, Recorded(logits))
        yield name, record.difference(name, maps.argmax(1).mT), 0
    config = official(record)
    finish = ClassesForDice(int(record["in_classes"]), size=config.get_parsed_content("metric_size"))
    pairs = [{"pred": MetaTensor(p), "label": MetaTensor(y[None])} for p, y in zip(maps, label)]
    compared = [finish(pair) for pair in pairs]
    for key, name in (("label", "label_P"), ("pred", "classes_P")):
        yield name, record.difference(name, torch.stack([pair[key].argmax(0).mT for pair in compared])), 0
    sample = config.get_parsed_content("sample")
    loaded = [sample({"image": x, "label": y[None]}, torch.Generator())["image"] for x, y in zip(image, label)]
    yield "image in training", record.difference("image_S", levels(torch.stack(loaded))[:, 0].mT), 0


def evaluation(record: Record):
    classes, side, labels = int(record["in_classes"]), int(record["in_P"]), record["in_label_P"]
    config = official(record)
    rule, policy = (config.get_parsed_content(name) for name in ("resample", "empty_policy"))
    predictions = resize_nearest(record["in_prediction_S"][:, None], (side, side), rule)[:, 0]
    yield "predictions at P", float((predictions != record["in_prediction_P"]).float().mean()), 0
    rows = [
        {"case": n, "domain": int(domain), **row}
        for n, domain in enumerate(record["in_domain"])
        for row in case_metrics(predictions[n].numpy(), labels[n].numpy(), classes, empty_policy=policy)
    ]
    domains = summarize_domains(rows)["domains"].values()
    for metric in METRICS:
        found = [[values[metric] for values in domain["classes"].values()] for domain in domains]
        yield f"{metric} of domains", record.difference(f"domain_{metric}", found), 2e-6  # six digits were printed
        yield metric, record.difference(f"mean_{metric}", list(np.mean(found, axis=0))), 1e-8
    yield from selection(record, config.get_parsed_content("validate#evaluator#score"), predictions)


def selection(record, score, predictions):
    """The score that picks the best weights, of each domain and part and of all."""
    one_hot = [
        F.one_hot(m.long(), int(record["in_classes"])).movedim(-1, 1) for m in (predictions, record["in_label_P"])
    ]
    cases, parts = list(zip(record["in_domain"].tolist(), *one_hot)), score.parts

    def of(members, domain=None):
        score.parts = members
        score.reset()
        score.update([case for case in cases if domain in (None, case[0])])
        return score.compute()

    found = [[of([part], domain) for part in parts] for domain in record["in_domain"].unique().tolist()]
    yield "smoothed Dice of domains", record.difference("domain_smoothed_dice", found), 2e-6
    yield "smoothed Dice", record.difference("mean_smoothed_dice", [of([part]) for part in parts]), 1e-7
    yield "score", abs(of(parts) - float(record["out_mean_smoothed_dice"].mean())), 1e-7
