"""Crops of slices whose embeddings are kept."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..transforms.affine import warp_affine, warp_boxes
from .preprocess import Frame


@dataclass(frozen=True)
class CropFrame(Frame):
    """Frame of crops whose embeddings are those of the slices that they were sampled from.

    Boxes go back through a crop's affine map and mask logits follow it, so that one embedding serves every crop of a
    slice; only intensities are the slice's. Here ``image`` is the size of the crops.

    Attributes:
        theta: maps of ``warp_affine`` from slices to crops, ``B, 2, 3``.
        source: height and width of the slices.
    """

    theta: Tensor
    source: tuple[int, int]

    @property
    def slices(self) -> Frame:
        """The frame of the slices."""
        return Frame(self.source, self.content, self.size)

    def boxes_to_sam(self, boxes: Tensor) -> Tensor:
        """Boxes ``N, 4`` in the crops, as many in each and image by image, in the input's pixels."""
        theta = self.theta.repeat_interleave(len(boxes) // len(self.theta), dim=0)
        return self.slices.boxes_to_sam(warp_boxes(boxes, theta.to(boxes), self.image, self.source))

    def masks_to_image(self, logits: Tensor) -> Tensor:
        """Mask logits ``B, M, size / 4`` on the pixels of the crops."""
        if self.content != self.size:
            logits = self.slices.masks_to_image(logits)
        return warp_affine(logits, self.theta.to(logits), self.image)
