"""Strong intensity augmentation of images in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as in PIL's gray


class RandomIntensity:
    r"""Random brightness, contrast and blur of every image of a batch, always all three.

    .. math:: x \leftarrow \mathrm{clip}(b x), \qquad x \leftarrow \mathrm{clip}(m + c (x - m)), \qquad
              x \leftarrow G_\sigma * x

    with m the mean of the gray image, clipping to [0, 1], and reflected borders.

    Args:
        brightness: range of b.
        contrast: range of c.
        sigma: range of the width of the Gaussian in pixels.

    Source: SynFoC (CVPR 2025), published code: factors U(0.1, 2) for gray images, U(0.5, 1.5) for fundus, widths
    U(0.1, 2) at 512 pixels. There the kernel has 51 taps; here it ends at four of the largest widths.
    """

    def __init__(
        self,
        brightness: tuple[float, float] = (0.1, 2.0),
        contrast: tuple[float, float] = (0.1, 2.0),
        sigma: tuple[float, float] = (0.1, 2.0),
    ) -> None:
        for name, (low, high) in {"brightness": brightness, "contrast": contrast, "sigma": sigma}.items():
            if not 0 <= low <= high or (name == "sigma" and not low):
                raise ValueError(f"{name} must be an ordered range of positive numbers, got {(low, high)}")
        self.ranges, self.radius = (brightness, contrast, sigma), int(4 * sigma[1] + 0.5)

    def draw(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """b, c and the width of each image, ``count, 3``."""
        low, high = torch.tensor(self.ranges).T
        return low + (high - low) * torch.rand(count, 3, generator=generator)

    def apply(self, image: Tensor, parameters: Tensor) -> Tensor:
        """Change ``B, C, H, W`` in [0, 1], with one or three channels."""
        b, c, sigma = parameters.to(image).view(-1, 3, 1, 1, 1).unbind(1)
        image = (b * image).clamp(0, 1)
        weights = image.new_tensor(_LUMA if image.shape[1] == 3 else [1 / image.shape[1]] * image.shape[1])
        mean = (weights.view(1, -1, 1, 1) * image).sum(dim=1, keepdim=True).mean(dim=(2, 3), keepdim=True)
        return self._blur((mean + c * (image - mean)).clamp(0, 1), sigma)

    def _blur(self, image: Tensor, sigma: Tensor) -> Tensor:
        count, channels, *shape = image.shape
        radius = min(self.radius, min(shape) - 1)
        taps = torch.arange(-radius, radius + 1, device=image.device)
        kernel = torch.exp(-0.5 * (taps / sigma.view(-1, 1)).square())
        kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)
        rows = F.pad(image.reshape(1, count * channels, *shape), [radius] * 4, mode="reflect")
        with torch.autocast(image.device.type, enabled=False):  # an image keeps its precision
            for size in ((-1, 1, 2 * radius + 1, 1), (-1, 1, 1, 2 * radius + 1)):
                rows = F.conv2d(rows, kernel.view(size), groups=count * channels)
        return rows.reshape(image.shape)

    def __call__(self, image: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.apply(image, self.draw(image.shape[0], generator))
