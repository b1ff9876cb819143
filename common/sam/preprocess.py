"""Images as SAM expects them: three conventions of size and range, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError, require_choice

CONVENTIONS = ("sam", "medsam", "unit")
_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of SAM's training images, RGB, 0 to 255


@dataclass(frozen=True)
class Frame:
    """Where an image lies in SAM's input.

    Attributes:
        image: height and width of the image.
        content: height and width of the image within the input; the rest, to the bottom and right, is padding.
        size: height and width of the input.
    """

    image: tuple[int, int]
    content: tuple[int, int]
    size: tuple[int, int]

    @classmethod
    def of(cls, image: Sequence[int], size: int | Sequence[int], convention: str) -> Frame:
        """The frame of images of extents ``image`` in an input of ``size`` under a convention of ``prepare``."""
        image, size = tuple(image), (size, size) if isinstance(size, int) else tuple(size)
        if convention != "sam":
            return cls(image, size, size)
        scale = min(size[0] / image[0], size[1] / image[1])
        return cls(image, (round(image[0] * scale), round(image[1] * scale)), size)

    def boxes_to_sam(self, boxes: Tensor) -> Tensor:
        """Boxes ``..., 4`` as x0, y0, x1, y1 in pixel centres of the image, in those of the input."""
        scale = self._scale(boxes)
        return (boxes + 0.5) * scale - 0.5

    def boxes_to_image(self, boxes: Tensor) -> Tensor:
        """The inverse of ``boxes_to_sam``."""
        return (boxes + 0.5) / self._scale(boxes) - 0.5

    def masks_to_image(self, logits: Tensor) -> Tensor:
        """Mask logits ``N, M, size / 4`` of the decoder, bilinearly on the pixels of the image."""
        if self.content == self.size:
            return F.interpolate(logits, size=self.image, mode="bilinear")
        full = F.interpolate(logits, size=self.size, mode="bilinear")
        return F.interpolate(full[..., : self.content[0], : self.content[1]], size=self.image, mode="bilinear")

    def _scale(self, boxes: Tensor) -> Tensor:
        x, y = self.content[1] / self.image[1], self.content[0] / self.image[0]
        return boxes.new_tensor([x, y, x, y])


def prepare(
    images: Tensor, size: int | Sequence[int], convention: str = "unit", check: bool = True
) -> tuple[Tensor, Frame]:
    """Resize, scale and replicate images for a SAM, and say where they lie in its input.

    ========== ================================== ==================================== ===================
    convention size                               values                               expected range
    ========== ================================== ==================================== ===================
    ``sam``    longest side, zeros bottom, right  less SAM's mean, by its deviation    0 to 255
    ``medsam`` stretched                          minimum 0 and maximum 1 per image    any
    ``unit``   stretched                          as they are (SAMed, SynFoC)          0 to 1
    ========== ================================== ==================================== ===================

    Args:
        images: ``B, 1, H, W`` (grey, replicated) or ``B, 3, H, W``, float.
        size: side, or height and width, of SAM's input.
        convention: one of the three.
        check: look at the range of values, for which the host waits for the device.

    Returns:
        Images ``B, 3, *size`` and their ``Frame``.

    Raises:
        InputError: for another number of channels, or values outside the range of the convention.
    """
    require_choice(convention=(convention, CONVENTIONS))
    if images.dim() != 4 or images.shape[1] not in (1, 3):
        raise InputError(f"images of shape {tuple(images.shape)}: SAM takes B, 1, H, W or B, 3, H, W")
    if check:
        _require_range(images, convention)
    frame = Frame.of(images.shape[-2:], size, convention)
    x = images.float()
    if convention == "medsam":
        low, high = x.amin(dim=(1, 2, 3), keepdim=True), x.amax(dim=(1, 2, 3), keepdim=True)
        x = (x - low) / (high - low).clamp_min(1e-8)
    if frame.image != frame.content:
        x = F.interpolate(x, size=frame.content, mode="bilinear", antialias=True)
    x = x.expand(-1, 3, -1, -1)
    if convention == "sam":
        mean, std = x.new_tensor(_MEAN).view(3, 1, 1), x.new_tensor(_STD).view(3, 1, 1)
        x = F.pad((x - mean) / std, (0, frame.size[1] - frame.content[1], 0, frame.size[0] - frame.content[0]))
    return x, frame


def _require_range(images: Tensor, convention: str, slack: float = 1e-3) -> None:
    if convention == "medsam" or torch.jit.is_tracing():
        return
    top = 255.0 if convention == "sam" else 1.0
    low, high = (float(value) for value in images.detach().aminmax())
    if low < -slack * top or high > top * (1 + slack):
        raise InputError(
            f"image values from {low:.4g} to {high:.4g}: the convention '{convention}' expects 0 to {top:g}"
        )
    if convention == "sam" and 0 < high <= 1:
        raise InputError(f"image values up to {high:.4g}: the convention 'sam' expects 0 to 255, not 0 to 1")
