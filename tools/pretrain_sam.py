"""Pretrain a small SAM on phantoms, and show what its boxes do to damaged labels."""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from monai.metrics import DiceMetric
from monai.networks import one_hot
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from common.data import Phantom
from common.errors import DivergedError, InputError, require_number, require_whole
from common.files import atomic_path, require_file_place
from common.losses.jaccard import jaccard_binary
from common.losses.reductions import masked_mean
from common.sam import ARCHITECTURES, BoxRefiner, build_sam
from common.sam.tuning import JITTER

CLASSES = 4
DOMAINS = 5
DAMAGE = (0.02, 0.04, 0.08)  # shares of the image side by which contours of labels are moved
TEST_CASES, TEST_SEED = 48, 1_000_000


class Cases(NamedTuple):
    """Phantoms of several difficulties and domains, half of them inverted.

    Attributes:
        image: ``N, 1, S, S``.
        label: ``N, S, S``.
        distance: to the contours of the foreground classes in pixels, positive inside, ``N, K - 1, S, S``.
    """

    image: Tensor
    label: Tensor
    distance: Tensor


def pretrain_sam(
    output: str = "sam_small.pth",
    size: int = 128,
    steps: int = 3000,
    batch: int = 16,
    cases: int = 1200,
    learning_rate: float = 5e-4,
    arch: str = "small",
    seed: int = 0,
) -> str:
    """Train a small SAM to segment what a box encloses, and write it as a checkpoint that every method can start from.

    A training sample is one organ of a phantom with the box of its damaged contour. Afterwards labels of unseen
    phantoms are damaged and refined; the Dice before and after is printed and written beside the checkpoint.

    Args:
        output: the checkpoint; the figures go to a file of the same name that ends in ``.json``.
        size: side of the images, a multiple of 16.
        steps: optimization steps.
        batch: samples per step.
        cases: phantoms to learn from.
        learning_rate: highest of a cosine schedule with warm-up.
        arch: ``small`` or ``tiny``.
        seed: of phantoms, weights and sampling.
    """
    require_whole(1, steps=steps, batch=batch, cases=cases)
    require_whole(0, seed=seed)
    if arch not in ARCHITECTURES:
        raise InputError(f"--arch={arch}: must be one of {', '.join(ARCHITECTURES)}")
    require_number(0, above=True, learning_rate=learning_rate)
    for path in (Path(output), Path(output).with_suffix(".json")):
        require_file_place(path, "--output")
    started = time.perf_counter()
    torch.manual_seed(seed)
    sam = build_sam(arch, size)
    samples = make_cases(cases, size, seed * TEST_SEED)
    loss = train(BoxRefiner(sam), samples, steps, batch, learning_rate)
    if not math.isfinite(loss):
        raise DivergedError(f"the loss became {loss} within {steps} steps; lower --learning_rate={learning_rate}")
    figures = evaluate(sam.eval(), make_cases(TEST_CASES, size, (seed + 1) * TEST_SEED - TEST_CASES))
    settings = {"arch": arch, "img_size": size, "convention": "medsam", "steps": steps, "batch": batch, "cases": cases}
    about = {**settings, "seed": seed, "loss": loss, "seconds": round(time.perf_counter() - started), "dice": figures}
    with atomic_path(output) as temporary:
        torch.save({"model": sam.state_dict(), "about": json.dumps(about)}, temporary)
    with atomic_path(Path(output).with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{TEST_CASES} unseen phantoms, {CLASSES - 1} organs each; {about['seconds']} s in all\n")
    sys.stdout.write("damage  Dice before  after refinement\n")
    for row in figures:
        sys.stdout.write(f"{row['damage']:6.0%}  {row['before']:11.4f}  {row['after']:16.4f}\n")
    return output


def make_cases(count: int, size: int, seed: int) -> Cases:
    """``count`` phantoms from consecutive seeds."""
    images, labels, distances = [], [], []
    for number in tqdm(range(count), desc="phantoms", disable=None, leave=False):
        rng = np.random.default_rng([seed, number])
        phantom = Phantom((size, size), CLASSES, float(rng.uniform(0, 0.8)), int(rng.integers(DOMAINS)))
        image, label = phantom.sample(seed + number)
        images.append(image * rng.choice([-1.0, 1.0]))
        labels.append(label)
        distances.append(np.stack([signed_distance(label == organ) for organ in range(1, CLASSES)]))
    return Cases(
        torch.from_numpy(np.stack(images)).float()[:, None],
        torch.from_numpy(np.stack(labels)).long(),
        torch.from_numpy(np.stack(distances)).float(),
    )


def signed_distance(mask: np.ndarray) -> np.ndarray:
    """Distance to the contour in pixels, positive inside; minus the image's extent where there is no object."""
    if not mask.any():
        return np.full(mask.shape, -float(sum(mask.shape)))
    return ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)


def damage(distance: Tensor, strength: Tensor | float, coarse: int = 8) -> Tensor:
    r"""Move contours by a smooth random amount.

    .. math:: d' = d + s\,(f + b), \qquad f \sim \text{smooth noise of unit variance},\; b \sim U(-1/2, 1/2)

    Args:
        distance: signed distances ``N, ..., H, W``.
        strength: s in pixels, for all or for each of the N.
        coarse: grid points per side of the noise, which is interpolated between them.

    Returns:
        Signed quantities of the same shape, positive inside the damaged object.
    """
    flat = distance.flatten(1, -3) if distance.dim() > 3 else distance[:, None]
    noise = F.interpolate(torch.randn(*flat.shape[:2], coarse, coarse), flat.shape[-2:], mode="bicubic")
    noise = noise / noise.std(dim=(-2, -1), keepdim=True) + torch.rand(*flat.shape[:2], 1, 1) - 0.5
    scale = torch.as_tensor(strength, dtype=flat.dtype).reshape(-1, 1, 1, 1)
    return (flat + scale * noise).view_as(distance)


def train(refiner: BoxRefiner, cases: Cases, steps: int, batch: int, learning_rate: float) -> float:
    """Fit the whole SAM to boxes of single organs; returns the mean loss of the last tenth of the steps."""
    optimizer = torch.optim.AdamW(refiner.parameters(), learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, steps, pct_start=0.1)
    objects = (cases.distance.amax(dim=(-2, -1)) > 2).nonzero()  # organs that others cover almost wholly are left out
    late, total = max(steps // 10, 1), torch.zeros(())
    for step in tqdm(range(steps), desc="training", disable=None, leave=False):
        case, organ = objects[torch.randint(len(objects), (batch,))].unbind(1)
        image, distance = turn(cases.image[case], cases.distance[case, organ][:, None])
        loss = prompted_loss(refiner, image, distance[:, 0])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(refiner.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        total += loss.detach() * (step >= steps - late)
    return total.item() / late


def turn(*images: Tensor) -> list[Tensor]:
    """The same random quarter turn and flip for whole batches of square images."""
    turns, flip = torch.randint(4, ()).item(), torch.rand(()).item() < 0.5
    turned = [image.rot90(turns, (-2, -1)) for image in images]
    return [image.flip(-1) for image in turned] if flip else turned


def prompted_loss(refiner: BoxRefiner, image: Tensor, distance: Tensor) -> Tensor:
    """Soft Jaccard plus cross-entropy of the masks for the boxes of damaged organs, against the true ones."""
    strength = torch.rand(len(image)) * max(DAMAGE) * image.shape[-1]
    embeddings, frame = refiner.embed(image)
    boxes, valid = refiner.prompts((damage(distance, strength) > 0).long(), frame, JITTER)
    logits = frame.masks_to_image(refiner.masks(embeddings, boxes.flatten(0, 2))[:, None])[:, 0]
    truth = (distance > 0).float()
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean((1, 2))
    return masked_mean(jaccard_binary(logits, truth) + entropy, valid.flatten())


@torch.no_grad()
def evaluate(sam: torch.nn.Module, cases: Cases) -> list[dict[str, float]]:
    """Mean foreground Dice of damaged labels, before and after refinement of their largest components."""
    refiner, rows = BoxRefiner(sam, CLASSES, components=1), []
    for share in DAMAGE:
        best, winner = damage(cases.distance, share * cases.image.shape[-1]).max(dim=1)
        damaged = torch.where(best > 0, winner + 1, 0)
        refined = refiner(cases.image, damaged).label
        before, after = mean_dice(damaged, cases.label), mean_dice(refined, cases.label)
        rows.append({"damage": share, "before": before, "after": after})
    return rows


def mean_dice(label: Tensor, truth: Tensor) -> float:
    """Mean over cases and the foreground classes that they have."""
    metric = DiceMetric(include_background=False, ignore_empty=True)
    return metric(one_hot(label[:, None], CLASSES), one_hot(truth[:, None], CLASSES)).nanmean().item()
