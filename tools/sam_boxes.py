"""How good a SAM's masks are for true boxes, and for boxes as far off as those of pseudo-labels."""

from __future__ import annotations

import copy
import json
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from monai.transforms import Compose, EnsureTyped
from torch import Tensor
from tqdm import tqdm

from common.data import DecodeMaskd, LoadImageOrSeriesd
from common.datasets import LAYOUTS, Case, find_cases
from common.datasets.domains import ONE_DOMAIN
from common.datasets.draws import by_lists
from common.errors import InputError, require_choice, require_folder, require_number, require_whole
from common.files import atomic_path, require_file_place
from common.sam import (
    BoxRefiner,
    adjust_boxes,
    boxes_from_masks,
    build_sam,
    group_masks,
    inject_lora,
    move_boxes,
    refine_volume,
)
from common.sam.promptable import overlap

from .draw import cases_of

TRAINING = ("train", "labeled", "unlabeled")
ROLES = (*TRAINING, "validation", "test", "unlisted")  # of the cases that find_cases finds


@dataclass
class Figures:
    """What is counted while images pass by.

    Attributes:
        dice: of each domain and object, triples for the true box, a moved one and the filled true box.
        composed: of each domain and class, in the label map that the true boxes of all groups give.
        volumes: the same of whole volumes, by the boxes of all their slices.
        encoding: seconds of processor time per image.
        decoding: the same per box.
        apart: largest difference of logits, boxes in one batch and one by one.
    """

    dice: dict[tuple[str, str], list[tuple[float, ...]]] = field(default_factory=dict)
    composed: dict[tuple[str, str], list[tuple[float, ...]]] = field(default_factory=dict)
    volumes: dict[tuple[str, str], list[tuple[float, ...]]] = field(default_factory=dict)
    encoding: list[float] = field(default_factory=list)
    decoding: list[float] = field(default_factory=list)
    apart: float = 0.0


def sam_boxes(
    dataset_dir: str,
    encoding: str = "index",
    num_classes: int = 2,
    groups: Sequence[Sequence[int]] | None = None,
    images: int = 40,
    split: str | None = None,
    layout: str | None = None,
    splits: str | None = None,
    volumes: bool = False,
    moved: float = 0.15,
    arch: str = "litemedsam",
    checkpoint: str | None = "litemedsam",
    img_size: int = 256,
    convention: str = "litemedsam",
    seed: int = 0,
    output: str | None = None,
) -> None:
    """Print the mean Dice of SAM's masks for true boxes, which bounds what boxes of pseudo-labels can give.

    Also for boxes whose sides are moved at random, for the filled true boxes, and with nested groups for the classes
    of the composed label map; and what an image and a box cost on this processor.

    Args:
        dataset_dir: a folder with images and labels, of several domains or one. Of volumes the middle slice counts.
        encoding: how masks are stored: index, binary, ...
        num_classes: background included.
        groups: classes prompted together, [[2, 3], [3]]; by default each by itself.
        images: at most so many of each domain, spread evenly over its list.
        split: take one list of the data set alone: train, validation or test.
        layout: of the data set, as in training: domain_lists, busi, acdc_groups and so on; by default what is found.
        splits: with a layout: a file of lists, such as ``draw`` writes, whose cases and lists are taken.
        volumes: also prompt every slice of a volume by its true boxes, and count the Dice of the whole volume.
        moved: largest shift of a side, as a share of the box.
        arch: of the SAM.
        checkpoint: of the SAM, a path or the name of installed weights.
        img_size: side of its input.
        convention: of its input: litemedsam, medsam, sam, unit.
        seed: of the shifts.
        output: a JSON file for the figures.
    """
    require_whole(1, images=images)
    require_whole(2, num_classes=num_classes)
    require_whole(0, seed=seed)
    require_number(0, moved=moved)
    require_choice(split=(split, (None, "train", "validation", "test")))
    if output is not None:
        require_file_place(output, "--output")
    sam = build_sam(arch, img_size, checkpoint=checkpoint).eval().requires_grad_(False)
    refiner = BoxRefiner(sam, num_classes, convention, groups, box_pad=0.0)
    figures, generator = Figures(), torch.Generator().manual_seed(seed)
    for domain, image, label in samples(cases_by_domain(dataset_dir, split, layout, splits), encoding, images):
        if image.dim() == 5:
            if volumes:
                measure_volume(refiner, domain, image[0], label[0], figures)
            middle = image.shape[-1] // 2
            image, label = image[..., middle], label[..., middle]
        measure(refiner, domain, image, label, moved, generator, figures)
    if not figures.dice:
        raise InputError(f"{dataset_dir}: no labeled image with a class that is prompted (num_classes, encoding)")
    about = {"checkpoint": checkpoint, "arch": arch, "img_size": img_size, "convention": convention, "moved": moved}
    about |= summary(figures) | {"lora_rank_4": sum(p.numel() for p in inject_lora(copy.deepcopy(sam), 4))}
    show(about)
    if output is not None:
        with atomic_path(output) as temporary:
            temporary.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def cases_by_domain(
    dataset_dir: str, split: str | None = None, layout: str | None = None, splits: str | None = None
) -> dict[str, list[Case]]:
    """Labeled cases of a list, or of all, by domain."""
    if layout is None and splits is not None:
        raise InputError(
            f"--splits {splits}: needs --layout, which says what the names in it are, such as domain_lists"
        )
    if layout is None:
        found = [(case.name.rpartition("/")[0], case) for case in find_cases(dataset_dir).cases]
    else:
        require_choice(layout=(layout, (*LAYOUTS, ONE_DOMAIN)))
        cases = cases_of(Path(require_folder(dataset_dir, "it must hold the data set")), layout)
        found = [(case.domain, case) for case in (by_lists(cases, Path(splits)) if splits else cases)]
    roles = {None: ROLES, "train": TRAINING}.get(split, (split,))
    by_domain: dict[str, list[Case]] = {}
    for domain, case in found:
        if case.label is not None and case.role in roles:
            by_domain.setdefault(domain, []).append(case)
    return by_domain


def samples(by_domain: Mapping[str, Sequence[Case]], encoding: str, most: int) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Domain, image ``1, C, H, W[, D]`` and label map ``1, H, W[, D]`` of cases spread evenly."""
    load = Compose(
        [LoadImageOrSeriesd("image", picture_channels=1), DecodeMaskd("label", encoding), EnsureTyped("image")]
    )
    for domain, items in by_domain.items():
        count = min(most, len(items))
        chosen = [items[number * len(items) // count] for number in range(count)]
        for item in tqdm(chosen, desc=domain or "images", disable=None, leave=False):
            case = load(item.entry())
            image, label = (torch.as_tensor(case[key]).float() for key in ("image", "label"))
            yield domain, image[None], label.long()


def measure(
    refiner: BoxRefiner,
    domain: str,
    image: Tensor,
    label: Tensor,
    share: float,
    generator: torch.Generator,
    figures: Figures,
) -> None:
    """Add one image, of which one group at least is there, to the figures."""
    truth = group_masks(label, refiner.groups)[0]
    boxes, present = boxes_from_masks(truth)
    shaken = move_boxes(boxes, share, generator)
    if not present.any():
        return
    started = time.process_time()
    embeddings, frame = refiner.embed(image)
    figures.encoding.append(time.process_time() - started)
    boxes, shaken = (adjust_boxes(frame.boxes_to_sam(b), frame.content, pad=0.0)[present] for b in (boxes, shaken))
    logits = answer(refiner, embeddings, torch.cat([boxes, shaken]), figures)
    masks = (frame.masks_to_image(logits[None])[0] > 0).unflatten(0, (2, -1))
    filled = boxes_filled(truth[present])
    scores = torch.stack([overlap(m, truth[present]) for m in (*masks, filled)], dim=1).tolist()
    names = ["+".join(map(str, group.classes)) for group, there in zip(refiner.groups, present) if there]
    for name, row in zip(names, scores, strict=True):
        figures.dice.setdefault((domain, name), []).append(tuple(row))
    composed = refiner.refine(embeddings, frame, label).label
    for number in sorted({group.paint for group in refiner.groups} & set(label.unique().tolist())):
        score = overlap(composed == number, label == number).item()
        figures.composed.setdefault((domain, str(number)), []).append((score,))


def measure_volume(refiner: BoxRefiner, domain: str, image: Tensor, label: Tensor, figures: Figures) -> None:
    """Add a volume ``C, H, W, D``, every slice of ``H, W, D`` labels prompted by its true boxes, to the figures."""
    refined = refine_volume(refiner, image, label)
    for number in sorted({group.paint for group in refiner.groups} & set(label.unique().tolist())):
        truth = label == number
        score = overlap((refined == number).flatten(1), truth.flatten(1)).item()
        figures.volumes.setdefault((domain, str(number)), []).append((score,))


def answer(refiner: BoxRefiner, embeddings: Tensor, boxes: Tensor, figures: Figures) -> Tensor:
    """Logits ``N, h, w`` of the boxes of one image, decoded at once and, to be timed and compared, one by one."""
    logits = refiner.masks(embeddings, boxes, torch.zeros(len(boxes), dtype=torch.long))
    for number, box in enumerate(boxes):
        started = time.process_time()
        alone = refiner.masks(embeddings, box[None])
        figures.decoding.append(time.process_time() - started)
        figures.apart = max(figures.apart, (alone[0] - logits[number]).abs().max().item())
    return logits


def boxes_filled(masks: Tensor) -> Tensor:
    """The filled boxes of masks ``N, H, W``."""
    rows, columns = masks.any(dim=2), masks.any(dim=1)
    inside = [
        line.int().cummax(dim=1).values & line.flip(1).int().cummax(dim=1).values.flip(1) for line in (rows, columns)
    ]
    return (inside[0][:, :, None] & inside[1][:, None, :]).bool()


def summary(figures: Figures) -> dict[str, Any]:
    """Means and costs as plain values."""
    rows = []
    for (domain, name), scores in sorted(figures.dice.items()):
        true, moved, filled = (statistics.fmean(column) for column in zip(*scores))
        rows.append(
            {"domain": domain, "object": name, "boxes": len(scores), "true": true, "moved": moved, "filled": filled}
        )
    composed, volumes = (
        [
            {"domain": domain, "class": name, "true": statistics.fmean(score for (score,) in scores)}
            for (domain, name), scores in sorted(found.items())
        ]
        for found in (figures.composed, figures.volumes)
    )
    milliseconds = {f"ms_per_{what}": 1000 * statistics.median(seconds) for what, seconds in
                    (("image", figures.encoding), ("box", figures.decoding))}  # fmt: skip
    return {
        "dice": rows,
        "composed": composed,
        "volumes": volumes,
        **milliseconds,
        "batch_against_single": figures.apart,
    }


def show(about: dict) -> None:
    """Print the figures."""
    write, objects = sys.stdout.write, {row["object"] for row in about["dice"]}
    write(f"{'domain':12} {'classes':8} {'boxes':>5}  true box  moved by up to {about['moved']:.0%}  filled box\n")
    for row in about["dice"]:
        write(f"{row['domain']:12} {row['object']:8} {row['boxes']:5d}  {row['true']:8.3f}  {row['moved']:18.3f}  ")
        write(f"{row['filled']:10.3f}\n")
    if any("+" in name for name in objects):
        for row in about["composed"]:
            write(f"{row['domain']:12} {row['class']:8} {'':5}  {row['true']:8.3f}  (composed of all groups)\n")
    for row in about["volumes"]:
        write(f"{row['domain']:12} {row['class']:8} {'':5}  {row['true']:8.3f}  (whole volumes, boxes of all slices)\n")
    write(f"{about['ms_per_image']:.0f} ms of processor time per image, {about['ms_per_box']:.0f} per box; ")
    write(f"boxes in one batch and one by one: {about['batch_against_single']:.1e} apart; ")
    write(f"LoRA of rank 4: {about['lora_rank_4']:,} parameters\n")
