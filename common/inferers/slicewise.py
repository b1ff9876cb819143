"""A 2D network on the slices of a volume."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from monai.inferers import Inferer
from torch import Tensor

from ..transforms.patch import resize_nearest


class SliceWiseInferer(Inferer):
    """Resize every slice, segment it, and resize the softmax maps back, all by nearest neighbour.

    Volumes ``B, C, H, W, D`` are cut along D; images ``B, C, H, W`` count as one slice. As both resizings take nearest
    neighbours, the arg max commutes with them: this is the ACDC protocol of SSL4MIS.

    Args:
        size: extents the network works at (256, 256 for ACDC).
        batch_size: slices per forward.
        amp: bfloat16 autocast of the network.
        softmax: apply softmax to the output of the network.
    """

    def __init__(self, size: Sequence[int], batch_size: int = 16, amp: bool = False, softmax: bool = True) -> None:
        self.size, self.batch_size, self.amp, self.softmax = tuple(size), batch_size, amp, softmax

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args, **kwargs) -> Tensor:
        flat = inputs.dim() == 4
        volume = inputs.unsqueeze(-1) if flat else inputs
        batch, _, height, width, depth = volume.shape
        slices = resize_nearest(volume.movedim(-1, 1).flatten(0, 1), self.size)
        maps = []
        for part in slices.split(self.batch_size):
            with torch.autocast(part.device.type, dtype=torch.bfloat16, enabled=self.amp):
                output = network(part, *args, **kwargs)
            maps.append(output.float().softmax(dim=1) if self.softmax else output.float())
        result = resize_nearest(torch.cat(maps), (height, width))
        result = result.unflatten(0, (batch, depth)).movedim(1, -1)
        return result.squeeze(-1) if flat else result
