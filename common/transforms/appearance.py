"""Random changes of how an image looks: gamma, a bias field, blur, low resolution, noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .batch import Batch, BatchTransform

TAPS = 7  # of a blur's kernel along an axis


@dataclass(frozen=True)
class Look:
    """Of every sample; the value that changes nothing where a change is not drawn.

    Attributes:
        gamma: exponents, ``B``.
        field: logarithms of the bias at control points, ``B, 1, points...``.
        blur: deviations of the kernels in voxels, 0 for none, ``B``.
        reduction: factors of the resolution, ``B``.
        noise: deviations, ``B``.
        seed: of the noise, which is drawn where the image lies.
    """

    gamma: Tensor
    field: Tensor
    blur: Tensor
    reduction: Tensor
    noise: Tensor
    seed: int


class RandomAppearance(BatchTransform):
    r"""Change samples' intensities, labeled or not; labels stay. For images of deviation 1.

    In this order, each with a probability of its own: gamma, :math:`x \leftarrow m + r ((x - m) / r)^\gamma` with the
    least value m and the range r of the sample; a smooth bias, :math:`x \leftarrow m + e^b (x - m)`; Gaussian blur;
    lower resolution, nearest down and linear up; Gaussian noise.

    Args:
        gamma: least and greatest exponent.
        bias: deviation of b at its control points, three along each axis.
        blur: least and greatest deviation of the kernel in voxels.
        resolution: least factor, up to 1.
        noise: greatest deviation.
        probabilities: of the five.

    Source: gamma, blur, resolution and noise in the ranges of nnU-Net v2's default.
    """

    def __init__(
        self,
        gamma: tuple[float, float] = (0.7, 1.5),
        bias: float = 0.3,
        blur: tuple[float, float] = (0.5, 1.0),
        resolution: float = 0.5,
        noise: float = 0.1,
        probabilities: tuple[float, float, float, float, float] = (0.3, 0.2, 0.1, 0.125, 0.1),
    ) -> None:
        self.gamma, self.bias, self.blur, self.resolution, self.noise = gamma, bias, blur, resolution, noise
        self.probabilities = probabilities

    def draw(self, batch: Batch, generator: torch.Generator | None = None) -> Look:
        """The changes of every sample."""
        count, dims = batch.image.shape[0], batch.image.dim() - 2
        on = torch.rand(5, count, generator=generator) < torch.tensor(self.probabilities).view(5, 1)
        g, b, r, n = torch.rand(4, count, generator=generator)
        field = torch.randn(count, 1, *[3] * dims, generator=generator) * self.bias
        return Look(
            torch.where(on[0], self.gamma[0] + g * (self.gamma[1] - self.gamma[0]), 1.0),
            field * on[1].view(-1, *[1] * (dims + 1)),
            torch.where(on[2], self.blur[0] + b * (self.blur[1] - self.blur[0]), 0.0),
            torch.where(on[3], self.resolution + r * (1 - self.resolution), 1.0),
            torch.where(on[4], n * self.noise, 0.0),
            int(torch.randint(2**31, (), generator=generator)),
        )

    def apply(self, batch: Batch, parameters: Look) -> Batch:
        image = batch.image.clone()
        for index, change in (
            ((parameters.gamma != 1) | parameters.field.flatten(1).any(dim=1), self._gamma_and_bias),
            (parameters.blur > 0, self._blurred),
            (parameters.reduction < 1, self._reduced),
            (parameters.noise > 0, self._noisy),
        ):
            if len(chosen := index.nonzero().squeeze(1)):
                place = chosen.to(image.device, non_blocking=True)
                image[place] = change(image[place], parameters, chosen)
        return Batch(image, batch.label, batch.index)

    @staticmethod
    def _gamma_and_bias(image: Tensor, look: Look, chosen: Tensor) -> Tensor:
        axes = tuple(range(2, image.dim()))
        low, high = image.amin(dim=axes, keepdim=True), image.amax(dim=axes, keepdim=True)
        gamma = _per_sample(look.gamma[chosen], image)
        extent = (high - low).clamp_min(1e-6)
        raised = ((image - low) / extent).clamp(0, 1).pow(gamma) * extent
        mode = "trilinear" if image.dim() == 5 else "bilinear"
        field = look.field[chosen].to(image, non_blocking=True)
        return low + raised * F.interpolate(field, size=image.shape[2:], mode=mode, align_corners=True).exp()

    @staticmethod
    def _blurred(image: Tensor, look: Look, chosen: Tensor) -> Tensor:
        at = torch.arange(TAPS, dtype=torch.float32) - TAPS // 2
        kernels = torch.exp(-0.5 * (at / look.blur[chosen].view(-1, 1)) ** 2)
        kernels = (kernels / kernels.sum(dim=1, keepdim=True)).to(image, non_blocking=True)
        (count, channels), dims = image.shape[:2], image.dim() - 2
        flat = image.reshape(1, count * channels, *image.shape[2:])
        kernels = kernels.repeat_interleave(channels, dim=0)
        convolve = F.conv3d if dims == 3 else F.conv2d
        for axis in range(dims):
            shape = [TAPS if other == axis else 1 for other in range(dims)]
            pad = [n for other in reversed(range(dims)) for n in ((TAPS // 2,) * 2 if other == axis else (0, 0))]
            flat = convolve(F.pad(flat, pad, mode="replicate"), kernels.view(-1, 1, *shape), groups=count * channels)
        return flat.view_as(image)

    @staticmethod
    def _reduced(image: Tensor, look: Look, chosen: Tensor) -> Tensor:
        mode = "trilinear" if image.dim() == 5 else "bilinear"
        parts = []
        for sample, factor in zip(image.split(1), look.reduction[chosen].tolist()):
            size = [max(round(extent * factor), 1) for extent in image.shape[2:]]
            parts.append(F.interpolate(F.interpolate(sample, size=size), size=image.shape[2:], mode=mode))
        return torch.cat(parts)

    @staticmethod
    def _noisy(image: Tensor, look: Look, chosen: Tensor) -> Tensor:
        generator = torch.Generator(image.device).manual_seed(look.seed)
        noise = torch.empty_like(image).normal_(generator=generator)
        return image + noise * _per_sample(look.noise[chosen], image)


def _per_sample(values: Tensor, image: Tensor) -> Tensor:
    return values.to(image, non_blocking=True).view(-1, *[1] * (image.dim() - 1))
