"""Mean Teacher for segmentation, and its supervised-only limit."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from common.engines import Objective
from common.errors import require_choice
from common.losses import entropy, masked_mean, softmax_mse
from common.transforms import Batch, MixUp, clamped_noise

from .uncertainty import monte_carlo_uncertainty

TARGETS = ("hard", "soft")


class MeanTeacherObjective(Objective):
    r"""Supervised loss on labeled samples plus consistency with an EMA teacher on unlabeled ones.

    .. math:: L = L_{sup}(f_S(x_l), y) + w(t) \, L_{cons}(f_S(v(x_u)), f_T(x_u + n))

    The teacher sees the unlabeled image with clamped Gaussian noise n. The student sees a view v of it: the image
    itself, or its MixUp with a labeled image. Targets are the teacher's classes (``hard``: the supervised loss against
    the pseudo-label) or its softmax map (``soft``: squared error, optionally on voxels of low uncertainty only).

    Args:
        network: the student.
        teacher: a copy of it, moved by an EMA handler; ``None`` trains on labeled samples alone.
        supervised: loss of logits ``B, C, ...`` against a label map.
        weights: of the terms ``supervised`` and ``consistency``.
        target: ``hard`` or ``soft``.
        mixup_alpha: MixUp parameter of the student's view; 0 for no mixing.
        teacher_train_mode: keep dropout and batch statistics in the teacher (UA-MT) instead of eval mode.
        noise_std: deviation of n, clamped to twice that.
        uncertainty: UA-MT's mask: ``{"passes": 8, "threshold": Ramp}`` keeps voxels whose entropy over noisy passes
            is below ``threshold(t) * ln C``; needs ``soft`` targets.

    Batch: images ``B, C, spatial``, labels ``B_l, 1, spatial``; diagnostics: foreground share of the pseudo-label and
    share of voxels kept by the mask.

    Source: Tarvainen and Valpola, NeurIPS 2017; UA-MT (Yu et al., MICCAI 2019), equations 1 to 5.
    """

    TERMS = ("supervised", "consistency")

    def __init__(
        self,
        network: nn.Module,
        teacher: nn.Module | None,
        supervised: nn.Module,
        weights: Mapping | None = None,
        target: str = "hard",
        mixup_alpha: float = 0.75,
        teacher_train_mode: bool = True,
        noise_std: float = 0.1,
        uncertainty: Mapping | None = None,
    ) -> None:
        super().__init__(weights)
        require_choice(target=(target, TARGETS))
        if uncertainty and (target != "soft" or mixup_alpha or not teacher_train_mode):
            raise ValueError("the uncertainty mask needs target 'soft', mixup_alpha 0 and teacher_train_mode true")
        self.network, self.teacher, self.supervised = network, teacher, supervised
        self.target, self.noise_std, self.uncertainty = target, noise_std, dict(uncertainty or {})
        self.teacher_train_mode = teacher_train_mode
        self.mixup = MixUp(mixup_alpha) if mixup_alpha else None

    def train(self, mode: bool = True) -> MeanTeacherObjective:
        super().train(mode)
        if self.teacher is not None:
            self.teacher.train(mode and self.teacher_train_mode)
        return self

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        n = batch.labeled
        labeled, unlabeled = batch.image[:n], batch.image[n:]
        if self.teacher is None or not len(unlabeled):
            return {"supervised": self.supervised(self.network(labeled), batch.label)}
        with torch.no_grad():
            teacher_logits = self.teacher(clamped_noise(unlabeled, self.noise_std, 2 * self.noise_std))
        view = self.mixup(unlabeled, labeled) if self.mixup else unlabeled
        logits = self.network(torch.cat([labeled, view]))
        terms = self._consistency(logits[n:], teacher_logits, unlabeled, step)
        return {"supervised": self.supervised(logits[:n], batch.label), **terms}

    def _consistency(self, logits: Tensor, teacher_logits: Tensor, unlabeled: Tensor, step: int) -> dict[str, Tensor]:
        pseudo_label = teacher_logits.argmax(dim=1)
        diagnostics = {"pseudo_foreground": (pseudo_label > 0).float().mean()}
        if self.target == "hard":
            return {"consistency": self.supervised(logits, pseudo_label), **diagnostics}
        distance = softmax_mse(logits, teacher_logits)
        if not self.uncertainty:
            return {"consistency": distance.mean(), **diagnostics}
        mean_logits = monte_carlo_uncertainty(self.teacher, unlabeled, self.uncertainty["passes"], self.noise_std)
        limit = self.uncertainty["threshold"](step) * torch.log(torch.tensor(float(logits.shape[1])))
        certain = entropy(mean_logits) < limit.to(distance.device)
        return {"consistency": masked_mean(distance, certain), "certain": certain.float().mean(), **diagnostics}
