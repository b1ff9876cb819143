"""SynFoC: how the published code loads an image, brings the prediction to the U-Net's size, and measures it."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from common.data import ClassesForDice
from common.metrics import case_metrics, summarise_domains
from common.transforms import resize_nearest

from .records import Recorded, near, preset, read, same

DATA = {"test_time_C2": "prostate", "test_time_C4": "mnms"}


def turned(record, *names):
    """Recorded maps as files are read: with x as the first axis."""
    return [record[name].mT for name in names]


def official(record, data, **options):
    large, side, classes = (int(record[name]) for name in ("S", "P", "classes"))
    sizes = {"unet": [side, side], "sam": [large, large]}
    options = {"num_classes": classes, "patch_size": [side, side], "sizes": sizes, "amp": False, **options}
    return preset("synfoc_segmentation", data, "official", **options)


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize(("deploy", "shown"), [("sam", "image_S"), ("unet", "image_P")])
def test_images_that_a_deployed_network_sees(name, deploy, shown):
    record = read("synfoc", name)
    image, logits = turned(record, "in_image", "in_logits_sam")
    network = Recorded(logits)
    official(record, DATA[name], deploy=deploy).get_parsed_content("inferer")(image[:, None] / 255, network)
    same((255 * network.seen[0][:, 0]).round(), record[shown].mT)


@pytest.mark.parametrize("name", DATA)
def test_predicted_classes_and_the_label_that_they_meet(name):
    record = read("synfoc", name)
    image, label, logits = turned(record, "in_image", "in_label", "in_logits_sam")
    large = official(record, DATA[name], metric_size=[int(record["S"])] * 2).get_parsed_content("inferer")
    same(large(image[:, None] / 255, Recorded(logits)).argmax(1), record["classes_S"].mT)
    parser = official(record, DATA[name])
    maps = parser.get_parsed_content("inferer")(image[:, None] / 255, Recorded(logits))
    same(maps.argmax(1), record["classes_P"].mT)
    finish = ClassesForDice(int(record["classes"]), size=parser.get_parsed_content("metric_size"))
    for n, pred in enumerate(maps):
        done = finish({"pred": MetaTensor(pred), "label": MetaTensor(label[n : n + 1])})
        same(done["label"].argmax(0), record["label_P"][n].mT)
        same(done["pred"].argmax(0), record["classes_P"][n].mT)


@pytest.mark.parametrize("name", DATA)
def test_training_takes_images_the_same_way(name):
    record = read("synfoc", name)
    image, label = turned(record, "in_image", "in_label")
    parser = official(record, DATA[name])
    sample, settings = parser.get_parsed_content("sample"), parser.get_parsed_content("objective#settings")
    assert settings.resample == parser.get_parsed_content("inferer").resample
    for n in range(len(image)):
        case = sample({"image": image[n][None] / 255, "label": label[n][None]}, torch.Generator())
        same((255 * case["image"][0]).round(), record["image_S"][n].mT)
        assert case["label"].shape == case["image"].shape


@pytest.mark.parametrize("name", ["evaluation_C2", "evaluation_C4"])
def test_metrics_of_a_data_set(name):
    record = read("synfoc", name)
    classes, side = int(record["classes"]), int(record["P"])
    parser = preset("synfoc_segmentation", "official", num_classes=classes, amp=False)
    policy, labels = parser.get_parsed_content("empty_policy"), record["in_label_P"]
    rule = parser.get_parsed_content("inferer").resample
    large = resize_nearest(record["in_prediction_S"][:, None], (side, side), rule)[:, 0]
    same(large, record["in_prediction_P"])
    rows = [
        {"case": n, "domain": int(domain), **row}
        for n, domain in enumerate(record["in_domain"])
        for row in case_metrics(large[n].numpy(), labels[n].numpy(), classes, empty_policy=policy)
    ]
    summary = summarise_domains(rows)
    for metric in ("dice", "jaccard", "hd95", "asd"):
        found = [[part[metric] for part in domain["classes"].values()] for domain in summary["domains"].values()]
        near(found, record[f"domain_{metric}"], 2e-6)  # six digits were printed
        near(np.mean(found, axis=0), record[f"mean_{metric}"], 2e-9)
        near(summary["domain_mean"][metric], record[f"mean_{metric}"].mean(), 2e-9)


@pytest.mark.parametrize("name", ["evaluation_C2", "evaluation_C4"])
def test_score_that_picks_the_best_weights(name):
    record = read("synfoc", name)
    classes = int(record["classes"])
    score = preset("synfoc_segmentation", "official", num_classes=classes).get_parsed_content(
        "validate#evaluator#score"
    )
    every = score.parts
    cases = [
        (domain, *(torch.nn.functional.one_hot(m.long(), classes).movedim(-1, 0) for m in maps))
        for domain, *maps in zip(record["in_domain"].tolist(), record["in_prediction_P"], record["in_label_P"])
    ]
    for number, part in enumerate(every):
        score.parts = [part]
        for domain in record["in_domain"].unique().tolist():
            score.reset()
            score.update([case for case in cases if case[0] == domain])
            near(score.compute(), record["domain_smoothed_dice"][domain, number], 2e-6)
        score.reset()
        score.update(cases)
        near(score.compute(), record["mean_smoothed_dice"][number], 1e-7)
    score.parts = every
    score.reset()
    score.update(cases)
    near(score.compute(), record["mean_smoothed_dice"].mean(), 1e-7)
