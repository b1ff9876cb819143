"""Pseudo-labels refined by SAM: their boxes are the prompts, its masks the new labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import InputError, require_choice
from .build import Sam
from .decode import decode, embed_boxes
from .preprocess import CONVENTIONS, Frame, prepare
from .prompts import (
    adjust_boxes,
    boxes_from_masks,
    class_groups,
    compose,
    full_boxes,
    group_masks,
    group_probabilities,
    keep_ungrouped,
    require_empty_policy,
    soft_boxes,
    split_components,
)


@dataclass(frozen=True)
class Refined:
    """What SAM made of a batch of pseudo-labels.

    Attributes:
        label: label maps ``B, H, W``.
        logits: mask logits ``B, G, H, W`` of the groups, minus infinity where one was not prompted.
        prompted: which groups were, ``B, G``.
        quality: IoU of a group's mask with its object as SAM expects it, ``B, G``; the mean over components.
        agreement: Dice of a group's mask and its pixels in the pseudo-label, ``B, G``.
    """

    label: Tensor
    logits: Tensor
    prompted: Tensor
    quality: Tensor
    agreement: Tensor


class BoxRefiner(nn.Module):
    """SAM prompted with the boxes of label maps, for many images and classes at once.

    A box has sides of at least one pixel of SAM's input. Classes that no group contains stay as the label map has them.

    Args:
        sam: a ``Sam``.
        num_classes: classes of the label maps, background included.
        convention: of the images, see ``prepare``.
        groups: classes prompted together, see ``class_groups``.
        box_pad: outward shift of a box's sides, as a share of the input's side.
        components: boxes per group, of its largest components; 0 for one box around all of it. Masks of one group
            are merged by their maximum.
        empty: a group without pixels is not prompted (``skip``), or with a ``full_box``.
        smallest: groups and components of fewer pixels of the label map count as absent.
        chunk: prompts decoded at once; ``None`` for all.
    """

    def __init__(
        self,
        sam: Sam,
        num_classes: int = 2,
        convention: str = "medsam",
        groups: Sequence[Sequence[int]] | None = None,
        box_pad: float = 0.02,
        components: int = 0,
        empty: str = "skip",
        smallest: int = 1,
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        require_choice(convention=(convention, CONVENTIONS))
        self.sam, self.convention, self.groups = sam, convention, class_groups(num_classes, groups)
        self.box_pad, self.components, self.empty = box_pad, components, require_empty_policy(empty)
        if not (isinstance(smallest, int) and smallest >= 1):
            raise InputError(f"smallest={smallest}: expected a number of pixels, at least 1")
        self.smallest, self.chunk, self.unchecked = smallest, chunk, True

    def embed(self, images: Tensor) -> tuple[Tensor, Frame]:
        """Embeddings of images ``B, 1 or 3, H, W``, and their frame."""
        x, frame = prepare(images, self.sam.img_size, self.convention, check=self.unchecked)
        self.unchecked = False  # the first batch tells whether the range is right
        return self.sam.encode(x), frame

    def frame(self, size: Sequence[int]) -> Frame:
        """The frame of images of ``size``, for embeddings that were kept."""
        return Frame.of(size, self.sam.img_size, self.convention)

    def masks(self, embeddings: Tensor, boxes: Tensor, index: Tensor | None = None) -> Tensor:
        """Logits ``N, h, w`` at the decoder's resolution of boxes ``N, 4`` in the input's pixels, with gradient.

        ``index`` names the image of each box; without it box i belongs to image i.
        """
        return self.answers(embeddings, boxes, index)[0]

    def answers(self, embeddings: Tensor, boxes: Tensor, index: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The ``masks`` and the IoU that SAM expects of each, ``N``."""
        logits, quality = decode(self.sam, embeddings, embed_boxes(self.sam, boxes), index, self.chunk, tokens=1)
        return logits[:, 0], quality[:, 0]

    def prompts(
        self, labels: Tensor, frame: Frame, jitter: float | None = None, probabilities: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Boxes ``B, G, n, 4`` in SAM's pixels for label maps ``B, H, W``, and which of them count, ``B, G, n``.

        With a ``jitter`` their sides move outward by up to it, at random, instead of by ``box_pad``. With
        ``probabilities`` ``B, K, H, W`` the places are those of ``soft_boxes``, one for each group.
        """
        masks = group_masks(labels, self.groups)
        b, g, h, w = masks.shape
        flat = masks.flatten(0, 1)
        parts = split_components(flat, self.components) if self.components else flat[:, None]
        boxes, _ = boxes_from_masks(parts.flatten(0, 1))
        if probabilities is not None:
            boxes = soft_boxes(group_probabilities(probabilities, self.groups).flatten(0, 1))
        valid = parts.flatten(0, 1).sum(dim=(1, 2)) >= self.smallest
        shift = (self.box_pad, 0.0) if jitter is None else (0.0, jitter)
        boxes = adjust_boxes(frame.boxes_to_sam(boxes), frame.content, *shift)
        boxes, valid = boxes.view(b, g, -1, 4), valid.view(b, g, -1)
        if self.empty == "full_box":
            everything = full_boxes(b * g, frame.content, boxes).view(b, g, 1, 4)
            nothing = ~valid.any(dim=2, keepdim=True)
            first = torch.arange(boxes.shape[2], device=boxes.device) == 0
            boxes = torch.where((nothing & first)[..., None], everything, boxes)
            valid = valid | (nothing & first)
        return boxes, valid

    def forward(self, images: Tensor, labels: Tensor) -> Refined:
        """Refine label maps ``B, H, W`` of images ``B, 1 or 3, H, W``."""
        return self.refine(*self.embed(images), labels)

    def refine(
        self,
        embeddings: Tensor,
        frame: Frame,
        labels: Tensor,
        prompt: tuple[Tensor, Frame] | None = None,
        probabilities: Tensor | None = None,
    ) -> Refined:
        """Refine label maps ``B, H, W`` with embeddings of their images.

        Every prompt is decoded, counted or not: with a fixed number of them the host need not wait for the device.
        ``prompt``: other label maps to take the boxes from, of any size, and the frame of that size; or
        ``probabilities``, see ``prompts``, where a group has one box.
        """
        source, place = prompt or (labels, frame)
        boxes, valid = self.prompts(source, place, probabilities=probabilities)
        b, g, n = valid.shape
        index = torch.arange(b, device=boxes.device).repeat_interleave(g * n)
        logits, quality = self.answers(embeddings, boxes.flatten(0, 2), index)
        logits = logits.float().view(b, g * n, *logits.shape[-2:])
        full = frame.masks_to_image(logits).view(b, g, n, *frame.image)
        full = full.masked_fill(~valid[..., None, None], -torch.inf).amax(dim=2)
        prompted = valid.any(dim=2)
        label = keep_ungrouped(compose(full, self.groups, prompted), labels, self.groups)
        quality = (quality.float().view(b, g, n) * valid).sum(dim=2) / valid.sum(dim=2).clamp_min(1)
        return Refined(label, full, prompted, quality, overlap(full > 0, group_masks(labels, self.groups)))


def overlap(one: Tensor, other: Tensor) -> Tensor:
    """Dice of boolean masks ``..., H, W``; 1 where both are empty."""
    both, all_ = (one & other).sum(dim=(-2, -1)), one.sum(dim=(-2, -1)) + other.sum(dim=(-2, -1))
    return torch.where(all_ > 0, 2 * both / all_.clamp_min(1), torch.ones_like(all_, dtype=torch.float32))
