"""SGRS-Net: pseudo-labels of a mean teacher, supervised region by region."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from common.engines import Objective
from common.transforms import Batch, MixUp, clamped_noise

from .losses import RegionalLoss
from .regions import SynergyRegions


class SGRSNetObjective(Objective):
    r"""Supervised loss, and regional losses on an unlabeled image and its MixUp with a labeled one.

    .. math:: L = L_{sup} + r(t) \, L_{unsup}(U, M; P), \qquad P = \arg\max f_T(\tilde U), \quad
              M = \lambda \tilde U + (1 - \lambda) \tilde L_\pi

    The student predicts [L; U; M] in one pass; L and U are clean, M is mixed from the noisy patches. The ramp r is
    the weight of ``regional``.

    Args:
        network: the student.
        teacher: its moving average.
        supervised: loss of logits against a label map.
        regions: the partition into omega, theta and delta.
        regional: loss of the views inside the regions.
        weights: of ``supervised`` and ``regional``.
        mixup_alpha: Beta parameter of the mixture; 0 leaves U alone, all of it omega (the ablations' base).
        mixup_draws: of the Beta distribution per mixture, see ``MixUp``.
        noise_std: deviation of the noise, clamped to twice that.
        teacher_train_mode: dropout and batch statistics in the teacher (published code) or eval mode.

    Batch: images ``B, C, spatial``, labels ``B_l, 1, spatial``. Diagnostics: shares of the three regions and of the
    pseudo-label's foreground.

    Source: SGRS-Net (MICCAI 2025), equations 1 to 17.
    """

    TERMS = ("supervised", "regional")

    def __init__(
        self,
        network: nn.Module,
        teacher: nn.Module,
        supervised: nn.Module,
        regions: SynergyRegions,
        regional: RegionalLoss,
        weights: Mapping | None = None,
        mixup_alpha: float = 0.75,
        noise_std: float = 0.1,
        teacher_train_mode: bool = True,
        mixup_draws: int = 1,
    ) -> None:
        super().__init__(weights)
        self.network, self.teacher, self.supervised = network, teacher, supervised
        self.regions, self.regional, self.noise_std = regions, regional, noise_std
        self.mixup = MixUp(mixup_alpha, mixup_draws) if mixup_alpha else None
        self.teacher_train_mode = teacher_train_mode

    def train(self, mode: bool = True) -> SGRSNetObjective:
        super().train(mode)
        self.teacher.train(mode and self.teacher_train_mode)
        return self

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        n = batch.labeled
        labeled, unlabeled = batch.image[:n], batch.image[n:]
        if not len(unlabeled):
            return {"supervised": self.supervised(self.network(labeled), batch.label)}
        noisy = clamped_noise(batch.image, self.noise_std, 2 * self.noise_std)
        with torch.no_grad():
            pseudo_label = self.teacher(noisy[n:]).argmax(dim=1)
        views = [unlabeled, self.mixup(noisy[n:], noisy[:n])] if self.mixup else [unlabeled]
        logits = self.network(torch.cat([labeled, *views]))
        predicted = list(logits[n:].split(len(unlabeled)))
        regions = self.regions(*predicted) if self.mixup else self.everything(pseudo_label)
        return {
            "supervised": self.supervised(logits[:n], batch.label),
            "regional": self.regional(predicted, pseudo_label, regions),
            "pseudo_foreground": (pseudo_label > 0).float().mean(),
            **{name: mask.float().mean() for name, mask in regions.items()},
        }

    @staticmethod
    def everything(pseudo_label: Tensor) -> dict[str, Tensor]:
        """Regions without a second view: all voxels are omega."""
        everywhere = torch.ones_like(pseudo_label, dtype=torch.bool)
        return {"omega": everywhere, "theta": ~everywhere, "delta": ~everywhere}
