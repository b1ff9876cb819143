"""Random crops, flips and quarter turns as one affine map per sample, which boxes and masks can follow."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from common.transforms import Batch, BatchTransform, warp_affine

_TRIES = 10  # candidates for a window before the whole image is taken


class RandomResizedCrop2D(BatchTransform):
    r"""Random window of each 2D sample, mirrored, turned and resized, in one ``grid_sample``; then random contrast.

    The value at the place u of the result, in coordinates from -1 to 1, comes from :math:`\theta (u, 1)^T`, with the
    matrices :math:`\theta` (``B, 2, 3``) that ``draw`` returns. Images are interpolated linearly, labels by nearest
    neighbor. Then :math:`x \leftarrow c x + b (\max x - \min x)`, clipped to the range that x had.

    Args:
        size: extents of the result.
        area: range of the window's share of the image.
        ratio: range of its width over height, log-uniform.
        flip: probability of mirroring the second axis.
        turn: probability of a random quarter turn (0 to 3 of them).
        contrast: c is uniform within this of 1, b within this of 0.
        contrast_probability: of changing contrast and brightness.

    Source: RandomResizedCrop of torchvision and albumentations, with the latter's limits.
    """

    def __init__(
        self,
        size: Sequence[int],
        area: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip: float = 0.5,
        turn: float = 0.0,
        contrast: float = 0.2,
        contrast_probability: float = 0.2,
    ) -> None:
        if not 0 < area[0] <= area[1] <= 1 or not 0 < ratio[0] <= ratio[1]:
            raise ValueError(f"need 0 < area <= 1 and 0 < ratio, in order, got {area} and {ratio}")
        self.size, self.area, self.ratio = tuple(size), area, ratio
        self.flip, self.turn = flip, turn
        self.contrast, self.contrast_probability = contrast, contrast_probability

    def draw(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Per sample the matrix ``theta`` and the factors ``contrast`` and ``brightness`` (1 and 0: unchanged)."""
        count, (height, width) = batch.image.shape[0], batch.image.shape[2:]

        def rand(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator)

        area = self.area[0] + (self.area[1] - self.area[0]) * rand(count, _TRIES)
        low, high = map(math.log, self.ratio)
        bend = (low + (high - low) * rand(count, _TRIES)).exp() * height / width
        windows = torch.stack([(area * bend).sqrt(), (area / bend).sqrt()], dim=2)  # shares of width and height
        fits = (windows <= 1).all(dim=2)
        first = windows[torch.arange(count), fits.int().argmax(dim=1)]
        window = torch.where(fits.any(dim=1, keepdim=True), first, torch.ones(count, 2))
        place = (1 - window) * (2 * rand(count, 2) - 1)
        mirror = 1 - 2 * (rand(count) < self.flip).float()
        quarters = torch.randint(4, (count,), generator=generator) * (rand(count) < self.turn)
        changed = (rand(count) < self.contrast_probability).float()
        return {
            "theta": _matrices(window, place, mirror, quarters),
            "contrast": 1 + changed * self.contrast * (2 * rand(count) - 1),
            "brightness": changed * self.contrast * (2 * rand(count) - 1),
        }

    def apply(self, batch: Batch, parameters: dict[str, Tensor]) -> Batch:
        p = {name: value.to(batch.image) for name, value in parameters.items()}
        image = warp_affine(batch.image, p["theta"], self.size)
        low, high = image.amin(dim=(1, 2, 3), keepdim=True), image.amax(dim=(1, 2, 3), keepdim=True)
        contrast, brightness = (p[name].view(-1, 1, 1, 1) for name in ("contrast", "brightness"))
        image = (contrast * image + brightness * (high - low)).clamp(low, high)
        label = warp_affine(batch.label.to(image), p["theta"][: batch.labeled], self.size, "nearest")
        return Batch(image, label.to(batch.label.dtype))


def _matrices(window: Tensor, place: Tensor, mirror: Tensor, quarters: Tensor) -> Tensor:
    """Window times turn times mirror, with its shift; axis 0 is the second spatial one, as in ``grid_sample``."""
    cos, sin = torch.tensor([1.0, 0.0, -1.0, 0.0])[quarters], torch.tensor([0.0, 1.0, 0.0, -1.0])[quarters]
    turn = torch.stack([cos * mirror, -sin, sin * mirror, cos], dim=1).view(-1, 2, 2)
    return torch.cat([window[:, :, None] * turn, place[:, :, None]], dim=2)
