"""MixUp of unlabeled with labeled images."""

from __future__ import annotations

import torch
from scipy.special import betaincinv
from torch import Tensor

from ..errors import require_choice


class MixUp:
    r"""Convex combination of each image with a random partner.

    .. math:: b \sim \mathrm{Beta}(\alpha, \alpha), \quad \lambda = \max(b, 1 - b), \quad
              M_i = \lambda_i U_i + (1 - \lambda_i) L_{\pi(i)}

    With :math:`\lambda \ge 1/2` the image keeps the larger share, so its pseudo-label can stand for the mixture.

    Args:
        alpha: parameter of the Beta distribution (0.75 in SGRS-Net: mean of lambda 0.78).
        draws: 1, or 2 as the formula reads in print: :math:`\lambda = \max(b, 1 - b')` with independent b and b', so
            that it may be below 1/2.

    Source: Zhang et al., ICLR 2018; SGRS-Net (MICCAI 2025), equations 1 and 2.
    """

    def __init__(self, alpha: float = 0.75, draws: int = 1) -> None:
        if alpha <= 0:
            raise ValueError(f"alpha must be positive, got {alpha}")
        require_choice(draws=(draws, (1, 2)))
        self.alpha, self.draws = alpha, draws

    def draw(self, count: int, partners: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """``count`` weights and as many partner indices below ``partners``, all equally often.

        The weights are in [0.5, 1], or with two draws in [0, 1].
        """
        uniform = torch.rand(self.draws, count, dtype=torch.float64, generator=generator)
        b = torch.from_numpy(betaincinv(self.alpha, self.alpha, uniform.numpy())).float()  # torch's Beta takes none
        shuffled = torch.cat([torch.randperm(partners, generator=generator) for _ in range(-(-count // partners))])
        return torch.maximum(b[0], 1 - b[-1]), shuffled[:count]

    def apply(self, image: Tensor, partner: Tensor, weight: Tensor, index: Tensor) -> Tensor:
        """Mix ``image`` (``B, C, ...``) with ``partner[index]``, weight by weight."""
        weight = weight.to(image).view(-1, *[1] * (image.dim() - 1))
        return weight * image + (1 - weight) * partner[index.to(partner.device)]

    def __call__(self, image: Tensor, partner: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.apply(image, partner, *self.draw(image.shape[0], partner.shape[0], generator))
