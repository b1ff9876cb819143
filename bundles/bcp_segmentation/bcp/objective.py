"""The training objective of BCP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from common.engines import Objective
from common.errors import require_choice
from common.losses import mixed_loss, region_dice
from common.transforms import Batch, RandomBoxMask, largest_per_class, paste, unlabeled_of_halves

from .losses import region_dice_squared

DICE = {"linear": region_dice, "squared": region_dice_squared}


@dataclass(frozen=True)
class BCPSettings:
    """Choices of the method.

    Attributes:
        pretrain_steps: iterations on labeled samples alone; then the teacher becomes a copy of the student.
        pretrain_loss: ``composed``: Dice and cross-entropy of the whole mixture against its composed label;
            ``regional``: of each part by itself, which is twice as much.
        alpha: weight of pseudo-labeled regions; labeled ones have 1.
        mixing: ``false`` leaves images whole, the control that copy-paste must beat.
        dice: ``linear``, per sample, or ``squared``, over the batch.
        cc_filter: ``largest`` keeps each class's largest component of a pseudo-label, ``none`` all of it.
        teacher_train_mode: dropout and batch statistics in the teacher.
        bn_groups: ``official`` gives each half of a batch its own batch-norm statistics, ``joint`` one to both.
    """

    pretrain_steps: int = 2000
    pretrain_loss: str = "composed"
    alpha: float = 0.5
    mixing: bool = True
    dice: str = "linear"
    cc_filter: str = "largest"
    teacher_train_mode: bool = True
    bn_groups: str = "official"

    def __post_init__(self) -> None:
        require_choice(
            pretrain_loss=(self.pretrain_loss, ("composed", "regional")),
            dice=(self.dice, tuple(DICE)),
            cc_filter=(self.cc_filter, ("largest", "none")),
            bn_groups=(self.bn_groups, ("official", "joint")),
        )


class BCPObjective(Objective):
    r"""Pretraining on mixtures of labeled samples; then a mean teacher whose student sees mixtures alone.

    .. math:: x_{in} = M x_l^a + (1 - M) x_u^a, \quad x_{out} = M x_u^b + (1 - M) x_l^b, \qquad
              L = mix(S(x_{in}); y^a, q^a; 1, \alpha) + mix(S(x_{out}); q^b, y^b; \alpha, 1)

    M is 0 inside a box and 1 outside; a and b are the halves of the labeled and of the unlabeled samples; q are the
    teacher's classes, each reduced to its largest component; mix is ``common.losses.mixed_loss``. In pretraining the
    student sees :math:`M x_l^a + (1 - M) x_l^b` with both labels. There is no other supervised term.

    Args:
        network: the student S.
        teacher: a copy of it, moved by an EMA handler. What it was before self-training is forgotten.
        box: generator of the boxes 1 - M.
        settings: everything else.
        weights: of the terms.

    Batch: images ``B, C, spatial``, labels ``B_l, 1, spatial``; an even number of labeled samples and as many
    unlabeled ones, or none: then pretraining never ends. Diagnostic: foreground share of the pseudo-labels.

    Source: Bai et al., CVPR 2023, equations 1 to 7, and its published code.
    """

    TERMS = ("pretraining", "inward", "outward")

    def __init__(
        self,
        network: nn.Module,
        teacher: nn.Module,
        box: RandomBoxMask,
        settings: BCPSettings | None = None,
        weights: Mapping | None = None,
    ) -> None:
        super().__init__(weights)
        self.network, self.teacher, self.box, self.settings = network, teacher, box, settings or BCPSettings()

    def train(self, mode: bool = True) -> BCPObjective:
        super().train(mode)
        self.teacher.train(mode and self.settings.teacher_train_mode)
        return self

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        n, unlabeled = batch.labeled, unlabeled_of_halves(batch)
        label, start = batch.label.squeeze(1).long(), self.settings.pretrain_steps + 1
        if step == start:
            self.teacher.load_state_dict(self.network.state_dict())
        if step < start or not unlabeled:
            return {"pretraining": self.pretraining(batch.image[:n], label)}
        pseudo = self.pseudo_label(batch.image[n:])
        terms = self.mixtures if self.settings.mixing else self.whole
        inward, outward = terms(batch.image, label, pseudo)
        return {"inward": inward, "outward": outward, "pseudo_foreground": (pseudo > 0).float().mean()}

    def pretraining(self, image: Tensor, label: Tensor) -> Tensor:
        """Loss of one mixture of two labeled halves, ``B_l, C, spatial`` and ``B_l, spatial``."""
        (x_a, x_b), (y_a, y_b) = image.chunk(2), label.chunk(2)
        box = self.box(x_a)
        if not self.settings.mixing:
            return self.loss(self.network(image), label, label, self.nowhere(image))
        logits = self.network(paste(box, x_b, x_a))
        if self.settings.pretrain_loss == "regional":
            return self.loss(logits, y_a, y_b, box)
        composed = paste(box, y_b, y_a)
        return self.loss(logits, composed, composed, self.nowhere(x_a))

    @torch.no_grad()
    def pseudo_label(self, image: Tensor) -> Tensor:
        """Label maps ``B_u, spatial`` of the teacher, which sees the halves of ``image`` ``B_u, C, spatial``."""
        logits = torch.cat(self.grouped(self.teacher, *image.chunk(2)))
        label = logits.argmax(dim=1)
        return largest_per_class(label, logits.shape[1]) if self.settings.cc_filter == "largest" else label

    def mixtures(self, image: Tensor, label: Tensor, pseudo: Tensor) -> tuple[Tensor, Tensor]:
        """Losses of the inward and of the outward mixtures; ``image`` is labeled and unlabeled, halves in order."""
        (x_a, x_b, u_a, u_b), (y_a, y_b), (q_a, q_b) = image.chunk(4), label.chunk(2), pseudo.chunk(2)
        box, alpha = self.box(x_a), self.settings.alpha
        p_in, p_out = self.grouped(self.network, paste(box, u_a, x_a), paste(box, x_b, u_b))
        return self.loss(p_in, y_a, q_a, box, (1.0, alpha)), self.loss(p_out, q_b, y_b, box, (alpha, 1.0))

    def whole(self, image: Tensor, label: Tensor, pseudo: Tensor) -> tuple[Tensor, Tensor]:
        """The same of images that are not mixed: what labels and what pseudo-labels supervise."""
        x, u = image.chunk(2)
        (p_x, p_u), alpha = self.grouped(self.network, x, u), self.settings.alpha
        nowhere = self.nowhere(x)
        return self.loss(p_x, label, label, nowhere), self.loss(p_u, pseudo, pseudo, nowhere, (alpha, alpha))

    def loss(
        self, logits: Tensor, outside: Tensor, inside: Tensor, box: Tensor, weights: Sequence[float] = (1.0, 1.0)
    ) -> Tensor:
        """``mixed_loss`` with the Dice loss of the settings."""
        return mixed_loss(logits, outside, inside, box, tuple(weights), DICE[self.settings.dice])

    def grouped(self, network: nn.Module, first: Tensor, second: Tensor) -> Sequence[Tensor]:
        """Logits of two halves, in one pass or in one each."""
        if self.settings.bn_groups == "joint":
            return network(torch.cat([first, second])).chunk(2)
        return network(first), network(second)

    @staticmethod
    def nowhere(image: Tensor) -> Tensor:
        """Boxes of no voxel, ``B, 1, spatial``, for images of one source."""
        return torch.zeros_like(image[:, :1], dtype=torch.bool)
