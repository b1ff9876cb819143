"""A 2D network on the slices of a volume."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from monai.inferers import Inferer
from torch import Tensor
from torch.nn import functional as F

from ..errors import require_choice
from ..networks.prepare import prepare_for_inference
from ..precision import AUTO, CHOICES, choose_precision
from ..transforms.patch import ResizedSlice
from ..transforms.resize import NEAREST, RESAMPLES, resize_image, resize_nearest


class SliceWiseInferer(Inferer):
    """Resize every slice, segment it, and resize the result back.

    Volumes ``B, C, H, W, D`` are cut along D; images ``B, C, H, W`` count as one slice. The network's logits may be of
    another size than its input. With ``antialias`` images are resized linearly without aliasing, and the logits
    linearly to the size of the result before the softmax. Otherwise logits are brought linearly to the size of the
    network's input, and their softmax from there to the result by the nearest pixel, with which the arg max commutes:
    with ``nearest`` this is the ACDC protocol of SSL4MIS.

    Args:
        size: extents the network works at (256, 256 for ACDC).
        batch_size: slices per forward.
        amp: number type of the network, see ``choose_precision``; the result is float32.
        softmax: apply softmax to the output of the network.
        resample: of images, see ``resize_image``; where it is a rule of the nearest pixel, of the result too.
        first: how images are resized before that, as in training; ``None``: not at all.
        output_size: extents of the result; ``None``: those of the slice.
    """

    def __init__(
        self,
        size: Sequence[int],
        batch_size: int = 16,
        amp: bool | str = AUTO,
        softmax: bool = True,
        resample: str = "nearest",
        first: ResizedSlice | None = None,
        output_size: Sequence[int] | None = None,
    ) -> None:
        require_choice(resample=(resample, RESAMPLES), amp=(amp, CHOICES))
        self.resample, self.first, self.output_size = resample, first, output_size
        self.size, self.batch_size, self.amp, self.softmax = tuple(size), batch_size, amp, softmax

    def prepare(self, inputs: Tensor) -> Tensor:
        """The slices of ``inputs`` as the network sees them, ``B * D, C, h, w``."""
        volume = inputs.unsqueeze(-1) if inputs.dim() == 4 else inputs
        slices = volume.movedim(-1, 1).flatten(0, 1)
        if self.first is not None:
            slices = self.first.image(slices)
        return resize_image(slices, self.size, self.resample)

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args, **kwargs) -> Tensor:
        flat = inputs.dim() == 4
        batch, _, height, width, depth = (*inputs.shape, 1) if flat else inputs.shape
        slices = self.prepare(inputs)
        size = tuple(self.output_size or (height, width))
        at = size if self.resample == "antialias" else self.size
        maps = []
        precision = choose_precision(self.amp, inputs.device)
        network = prepare_for_inference(network, slices, channels_last=False)
        for part in slices.split(self.batch_size):
            with precision.autocast(part.device.type):
                output = network(part, *args, **kwargs).float()
            if tuple(output.shape[2:]) != at:
                output = F.interpolate(output, size=at, mode="bilinear", align_corners=False)
            maps.append(output.softmax(dim=1) if self.softmax else output)
        result = resize_nearest(torch.cat(maps), size, self.resample if self.resample in NEAREST else "nearest")
        result = result.unflatten(0, (batch, depth)).movedim(1, -1)
        return result.squeeze(-1) if flat else result
