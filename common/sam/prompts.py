"""Box prompts from (pseudo-)labels, and label maps from the masks that answer them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError, require_choice
from ..transforms.components import largest_component

EMPTY = ("skip", "full_box")


@dataclass(frozen=True)
class Group:
    """Classes that are prompted as one object.

    SAM segments what a box encloses, so a ring is prompted filled: myocardium and cavity as one group painted as
    myocardium, then the cavity painted over it.

    Attributes:
        classes: class numbers whose union is the object.
        paint: class number of its mask.
    """

    classes: tuple[int, ...]
    paint: int


def class_groups(num_classes: int, groups: Sequence[Sequence[int]] | None = None) -> list[Group]:
    """One group per foreground class, or the given ones: lists of classes, each painted as its first.

    ``[[2, 3], [3]]``: classes 2 and 3 together, painted as 2; then class 3 over it.
    """
    groups = [[number] for number in range(1, num_classes)] if groups is None else groups
    for classes in groups:
        if not classes or not all(0 < number < num_classes for number in classes):
            raise InputError(f"groups: expected lists of classes from 1 to {num_classes - 1}, got {list(classes)}")
    return [Group(tuple(classes), classes[0]) for classes in groups]


def group_masks(labels: Tensor, groups: Sequence[Group]) -> Tensor:
    """Boolean masks ``B, G, H, W`` of the groups in label maps ``B, H, W``."""
    of_class = {number: labels == number for group in groups for number in group.classes}
    return torch.stack([functools.reduce(torch.logical_or, map(of_class.get, g.classes)) for g in groups], dim=1)


def boxes_from_masks(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Tight boxes of masks ``N, H, W``, without a loop or a look from the host.

    Returns:
        Boxes ``N, 4`` as x0, y0, x1, y1, the centres of the outermost pixels; and which masks are not empty, ``N``.
    """
    rows, columns = masks.any(dim=2), masks.any(dim=1)
    x0, y0 = columns.int().argmax(dim=1), rows.int().argmax(dim=1)
    x1 = masks.shape[2] - 1 - columns.flip(1).int().argmax(dim=1)
    y1 = masks.shape[1] - 1 - rows.flip(1).int().argmax(dim=1)
    return torch.stack([x0, y0, x1, y1], dim=1).float(), rows.any(dim=1)


def group_probabilities(probabilities: Tensor, groups: Sequence[Group]) -> Tensor:
    """Probabilities ``B, G, H, W`` of the groups, sums of those of their classes, ``B, K, H, W``."""
    return torch.stack([probabilities[:, list(group.classes)].sum(dim=1) for group in groups], dim=1)


def soft_boxes(probabilities: Tensor, levels: Sequence[float] = (0.25, 0.5, 0.75)) -> Tensor:
    """Boxes ``N, 4`` of objects with uncertain edges: means of the tight boxes where they are so probable at least.

    A side lies where the object ends for sure, or, where it may end earlier or later, in the middle. Of each level the
    largest component counts; a level that is nowhere reached does not.

    Args:
        probabilities: ``N, H, W``.
        levels: of the probability.
    """
    found = [boxes_from_masks(largest_component(probabilities >= level)) for level in levels]
    weight = torch.stack([there for _, there in found]).to(probabilities)[..., None]
    return (torch.stack([boxes for boxes, _ in found]) * weight).sum(dim=0) / weight.sum(dim=0).clamp_min(1)


def split_components(masks: Tensor, most: int) -> Tensor:
    """The ``most`` largest components of masks ``N, H, W``, largest first, as ``N, most, H, W``; the rest is empty."""
    parts, rest = [], masks
    for _ in range(most):
        parts.append(largest_component(rest))
        rest = rest & ~parts[-1]
    return torch.stack(parts, dim=1)


def adjust_boxes(
    boxes: Tensor,
    size: Sequence[int],
    pad: float = 0.02,
    jitter: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Move each side of boxes ``N, 4`` outward, clip them to an input of ``size`` (height, width); sides are >= 1.

    Args:
        boxes: x0, y0, x1, y1 in pixels of the input.
        size: height and width of the input.
        pad: fixed shift, as a share of the longer side of the input.
        jitter: largest random shift on top, uniform per side; 20 / 1024 is MedSAM's for training.
        generator: of the random shifts; on the CPU.
    """
    longest, (height, width) = max(size), size
    shift = torch.full_like(boxes, pad * longest)
    if jitter:
        shift = shift + jitter * longest * torch.rand(boxes.shape, generator=generator).to(boxes, non_blocking=True)
    low, high = boxes - shift, boxes + shift
    x0, y0 = low[:, 0].clamp(0, width - 2), low[:, 1].clamp(0, height - 2)
    x1 = torch.maximum(high[:, 2].clamp_max(width - 1), x0 + 1)
    y1 = torch.maximum(high[:, 3].clamp_max(height - 1), y0 + 1)
    return torch.stack([x0, y0, x1, y1], dim=1)


def move_boxes(boxes: Tensor, share: float, generator: torch.Generator | None = None) -> Tensor:
    """Move each side of boxes ``..., 4`` in- or outward at random, by up to ``share`` of the box's own extent.

    That is how far off the boxes of pseudo-labels may be; ``generator`` is on the CPU.
    """
    extent = (boxes[..., 2:] - boxes[..., :2] + 1).repeat_interleave(2, -1)[..., [0, 2, 1, 3]]
    shift = 2 * torch.rand(boxes.shape, generator=generator).to(boxes, non_blocking=True) - 1
    return boxes + share * extent * shift


def full_boxes(count: int, size: Sequence[int], like: Tensor) -> Tensor:
    """``count`` boxes around everything."""
    boxes = like.new_zeros(count, 4)
    boxes[:, 2], boxes[:, 3] = size[1] - 1, size[0] - 1
    return boxes


def compose(logits: Tensor, groups: Sequence[Group], valid: Tensor | None = None) -> Tensor:
    r"""Label maps from mask logits of groups.

    A group paints its class where :math:`\sigma(s_g)` exceeds a half and is the highest of the groups that have no
    class in common with it. Groups that do, nested ones, are painted over each other in their order.

    Args:
        logits: ``B, G, H, W``.
        groups: of the G channels.
        valid: ``B, G``; a group that was not prompted paints nothing. ``None``: all were.

    Returns:
        Label maps ``B, H, W`` of integers.
    """
    if valid is not None:
        logits = logits.masked_fill(~valid[:, :, None, None], -torch.inf)
    label = torch.zeros_like(logits[:, 0], dtype=torch.int64)
    for score, group in zip(logits.unbind(1), groups):
        rivals = (s for s, other in zip(logits.unbind(1), groups) if set(group.classes).isdisjoint(other.classes))
        highest = functools.reduce(torch.maximum, rivals, score)
        label = torch.where((score > 0) & (score == highest), group.paint, label)
    return label


def keep_ungrouped(label: Tensor, pseudo: Tensor, groups: Sequence[Group]) -> Tensor:
    """``label``, where it is background with the classes of ``pseudo`` that no group contains.

    So a class that boxes cannot name, such as a thin ring, can be left to the network that made the pseudo-label.
    """
    prompted = torch.tensor([0, *{number for group in groups for number in group.classes}], device=pseudo.device)
    return torch.where((label == 0) & ~torch.isin(pseudo, prompted), pseudo, label)


def require_empty_policy(empty: str) -> str:
    """Check the policy for a pseudo-label without foreground: ``skip`` it, or prompt with the ``full_box``."""
    require_choice(empty=(empty, EMPTY))
    return empty
