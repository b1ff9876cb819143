"""A 2D network on the slices of a volume."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from monai.inferers import Inferer
from torch import Tensor
from torch.nn import functional as F

from ..errors import require_choice
from ..precision import AUTO, CHOICES, choose_precision
from ..transforms.patch import RESAMPLES, resize_image, resize_nearest


class SliceWiseInferer(Inferer):
    """Resize every slice, segment it, and resize the result back.

    Volumes ``B, C, H, W, D`` are cut along D; images ``B, C, H, W`` count as one slice. The network's logits may be of
    another size than its input. With ``nearest`` both resizings take nearest neighbours, so that the arg max commutes
    with them: this is the ACDC protocol of SSL4MIS. With ``antialias`` images are resized linearly without aliasing,
    and the logits linearly to the size of the slice before the softmax.

    Args:
        size: extents the network works at (256, 256 for ACDC).
        batch_size: slices per forward.
        amp: number type of the network, see ``choose_precision``; the result is float32.
        softmax: apply softmax to the output of the network.
        resample: ``nearest`` or ``antialias``.
    """

    def __init__(
        self,
        size: Sequence[int],
        batch_size: int = 16,
        amp: bool | str = AUTO,
        softmax: bool = True,
        resample: str = "nearest",
    ) -> None:
        require_choice(resample=(resample, RESAMPLES), amp=(amp, CHOICES))
        self.resample = resample
        self.size, self.batch_size, self.amp, self.softmax = tuple(size), batch_size, amp, softmax

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args, **kwargs) -> Tensor:
        flat = inputs.dim() == 4
        volume = inputs.unsqueeze(-1) if flat else inputs
        batch, _, height, width, depth = volume.shape
        slices = resize_image(volume.movedim(-1, 1).flatten(0, 1), self.size, self.resample)
        maps = []
        precision = choose_precision(self.amp, inputs.device)
        for part in slices.split(self.batch_size):
            with precision.autocast(part.device.type):
                output = network(part, *args, **kwargs).float()
            if self.resample == "antialias":
                output = F.interpolate(output, size=(height, width), mode="bilinear", align_corners=False)
            maps.append(output.softmax(dim=1) if self.softmax else output)
        result = resize_nearest(torch.cat(maps), (height, width))
        result = result.unflatten(0, (batch, depth)).movedim(1, -1)
        return result.squeeze(-1) if flat else result
