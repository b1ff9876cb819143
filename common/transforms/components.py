"""Connected components of masks, on their device."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from monai.transforms import MapTransform
from skimage import measure
from torch import Tensor
from torch.nn import functional as F

_POOLS = {2: F.max_pool2d, 3: F.max_pool3d}
_ROUNDS = 24  # trees of random and of winding masks are flat after a dozen


def largest_component(mask: Tensor) -> Tensor:
    """Keep the largest component of each mask, connected over corners too (8 or 26 neighbors); empty stays empty.

    Every pixel points to a pixel of its component, at first itself. In each round roots are hooked to the highest
    parent among their pixels' neighbors, and pointers are shortened, so that the number of rounds grows with the
    logarithm of a component's length. It is fixed for a GPU, for which the host never waits.

    Args:
        mask: boolean, ``B, H, W[, D]``.

    Returns:
        The same shape and type; of components of one size, one is kept.

    Source: Zhang, Azad, Hu, SIAM PP 2020 (FastSV), with the maximum over an image's neighborhood.
    """
    count, pixels = mask.shape[0], mask[0].numel()
    inside = mask.flatten(1)
    parent = torch.arange(pixels, device=mask.device).expand(count, -1)
    for _ in range(_ROUNDS):
        before = parent
        highest = _highest_neighbor(torch.where(inside, parent, -1).view(mask.shape)).flatten(1)
        highest = torch.where(inside, highest, parent)
        hooked = parent.scatter_reduce(1, parent, highest, "amax")
        parent = torch.maximum(hooked, highest)
        parent = parent.gather(1, parent)
        if not mask.is_cuda and torch.equal(parent, before):
            break
    sizes = torch.zeros_like(parent).scatter_add(1, parent, inside.long())
    return mask & (parent == sizes.argmax(dim=1, keepdim=True)).view(mask.shape)


def largest_per_class(label: Tensor, classes: int) -> Tensor:
    """Keep the largest component of each foreground class of label maps ``B, H, W[, D]``; the rest becomes 0."""
    masks = torch.stack([label == number for number in range(1, classes)], dim=1)
    return label * largest_component(masks.flatten(0, 1)).view_as(masks).any(dim=1)


def _highest_neighbor(values: Tensor) -> Tensor:
    """Maximum over each pixel's neighborhood; float32 holds the indices of up to 2 ** 24 pixels exactly."""
    return _POOLS[values.dim() - 1](values.unsqueeze(1).float(), 3, 1, 1).squeeze(1).long()


class KeepLargestComponentd(MapTransform):
    """Keep the largest component of each foreground class of label maps ``1, spatial`` on the host; the rest becomes 0.

    Components are connected over corners too. Of components of one size the first in scan order is kept, as published
    code does; MONAI's transform leaves that open.
    """

    def __call__(self, data: Mapping) -> dict:
        result = dict(data)
        for key in self.key_iterator(result):
            label, kept = torch.as_tensor(result[key]).cpu().numpy(), torch.zeros_like(result[key], dtype=torch.bool)
            for number in np.unique(label[label > 0]):
                components = measure.label(label == number)
                largest = 1 + np.bincount(components.ravel())[1:].argmax()
                kept |= torch.from_numpy(components == largest).to(kept.device)
            result[key] = result[key] * kept
        return result
