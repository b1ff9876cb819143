"""Images as SAM expects them: conventions of size and range, and the way back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError, require_choice
from ..transforms.resize import resampling_weights

CONVENTIONS = ("sam", "medsam", "litemedsam", "unit")
_PADDED = ("sam", "litemedsam")  # the longest side is resized, the rest of the square is zero
_SCALED = ("medsam", "litemedsam")  # each image by its minimum and maximum
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
        height, width = image  # as they are: an exported network follows them
        rows, columns = (size, size) if isinstance(size, int) else size
        if convention not in _PADDED:
            return cls((height, width), (rows, columns), (rows, columns))
        height, width = int(height), int(width)
        scale = min(rows / height, columns / width)
        content = (int(height * scale + 0.5), int(width * scale + 0.5))
        return cls((height, width), content, (rows, columns))

    def boxes_to_sam(self, boxes: Tensor) -> Tensor:
        """Boxes ``..., 4`` as x0, y0, x1, y1 in pixel centres of the image, in those of the input."""
        return _rescale(boxes, self.image, self.content)

    def boxes_to_image(self, boxes: Tensor) -> Tensor:
        """The inverse of ``boxes_to_sam``."""
        return _rescale(boxes, self.content, self.image)

    def masks_to_image(self, logits: Tensor) -> Tensor:
        """Mask logits ``N, M, h, w`` of the decoder, whatever its resolution, bilinearly on the image's pixels."""
        if self.content == self.size:
            return F.interpolate(logits, size=self.image, mode="bilinear")
        full = F.interpolate(logits, size=self.size, mode="bilinear")
        return F.interpolate(full[..., : self.content[0], : self.content[1]], size=self.image, mode="bilinear")


def prepare(
    images: Tensor, size: int | Sequence[int], convention: str = "unit", check: bool = True
) -> tuple[Tensor, Frame]:
    """Resize, scale and replicate images for a SAM, and say where they lie in its input.

    ============== ================================= ==================================== ================
    convention     size                              values                               expected range
    ============== ================================= ==================================== ================
    ``sam``        longest side, zeros bottom, right less SAM's mean, by its deviation    0 to 255
    ``medsam``     stretched, cubic                  minimum 0 and maximum 1 per image    any finite
    ``litemedsam`` longest side, zeros bottom, right minimum 0 and maximum 1 per image    any finite
    ``unit``       stretched                         as they are (SAMed, SynFoC)          0 to 1
    ============== ================================= ==================================== ================

    Images are resized linearly but for ``medsam``, all without aliasing: MedSAM was trained on images resized by cubic
    splines, with their range kept and scaled to 0 to 1 afterwards, as it is here. Upstream, a volume is also clipped
    before it is cut into slices, which is left to the loading of data: MR to the percentiles 0.5 and 99.5 of its
    voxels that are not zero, CT to the window of level 40 and width 400.

    A traced network takes images of any size; under the conventions that pad, of the traced size alone.

    Args:
        images: ``B, 1, H, W`` (gray, replicated) or ``B, 3, H, W``, float.
        size: side, or height and width, of SAM's input.
        convention: one of ``CONVENTIONS``.
        check: look at the range of values, for which the host waits for the device.

    Returns:
        Images ``B, 3, *size`` and their ``Frame``.

    Raises:
        InputError: for another number of channels, or values outside the range of the convention.

    Source: Kirillov et al., Segment Anything, ICCV 2023; Ma et al., MedSAM, Nature Communications 2024, and
    LiteMedSAM, 2024.
    """
    require_choice(convention=(convention, CONVENTIONS))
    if images.dim() != 4 or images.shape[1] not in (1, 3):
        raise InputError(f"images of shape {tuple(images.shape)}: SAM takes B, 1, H, W or B, 3, H, W")
    if check:
        _require_range(images, convention)
    frame = Frame.of(images.shape[-2:], size, convention)
    x = images.float()
    if torch.jit.is_tracing() or frame.image != frame.content:
        x = _resize(x, frame.content, cubic=convention == "medsam")
    if convention in _SCALED:
        x = x.clamp(*_limits(images.float()))
        low, high = _limits(x)
        x = (x - low) / (high - low).clamp_min(1e-8)
    x = x.expand(-1, 3, -1, -1)
    if convention == "sam":
        x = torch.stack([(x[:, i] - mean) / std for i, (mean, std) in enumerate(zip(_MEAN, _STD))], dim=1)
    if convention in _PADDED:
        x = F.pad(x, (0, frame.size[1] - frame.content[1], 0, frame.size[0] - frame.content[0]))
    return x, frame


def _rescale(boxes: Tensor, old: Sequence[int], new: Sequence[int]) -> Tensor:
    """Boxes ``..., 4`` in pixels of an image of extents ``old`` in those of ``new``, without a copy from the host."""
    x0, y0, x1, y1 = (boxes + 0.5).unbind(-1)
    x, y = new[1] / old[1], new[0] / old[0]
    return torch.stack([x0 * x, y0 * y, x1 * x, y1 * y], dim=-1) - 0.5


def _limits(images: Tensor) -> tuple[Tensor, Tensor]:
    return images.amin(dim=(1, 2, 3), keepdim=True), images.amax(dim=(1, 2, 3), keepdim=True)


def _resize(images: Tensor, size: Sequence[int], cubic: bool) -> Tensor:
    """Linear or cubic resampling without aliasing."""
    if not torch.onnx.is_in_onnx_export():
        return F.interpolate(images, size=tuple(size), mode="bicubic" if cubic else "bilinear", antialias=True)
    kernel = "cubic" if cubic else "linear"
    rows, columns = (resampling_weights(old, new, kernel).to(images) for old, new in zip(images.shape[-2:], size))
    return rows @ images @ columns.T  # ONNX has no operator that the exporter knows


def _require_range(images: Tensor, convention: str, slack: float = 1e-3) -> None:
    if torch.jit.is_tracing():
        return
    low, high = (float(value) for value in images.detach().aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError(f"image values from {low} to {high}: the convention '{convention}' expects finite ones")
    if convention in _SCALED:
        return
    top = 255.0 if convention == "sam" else 1.0
    if low < -slack * top or high > top * (1 + slack):
        raise InputError(
            f"image values from {low:.4g} to {high:.4g}: the convention '{convention}' expects 0 to {top:g}"
        )
    if convention == "sam" and 0 < high <= 1:
        raise InputError(f"image values up to {high:.4g}: the convention 'sam' expects 0 to 255, not 0 to 1")
