"""IERE: copy-paste between labeled and unlabeled images under an internal and an external regularizer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.engines import Objective
from common.errors import require_choice
from common.losses import jaccard_multiclass, mixed_loss
from common.transforms import Batch, RandomBoxMask, largest_per_class, paste, unlabeled_of_halves

from .crop import RandomResizedCrop2D
from .losses import InternalRegularizer, agreement, weight_norm
from .network import ResNetUNet
from .teacher import Teacher
from .views import Views


@dataclass(frozen=True)
class IERESettings:
    """Choices of the method.

    Attributes:
        pretrain_steps: iterations on labeled images alone, before the student's.
        alpha: weight of pseudo-labeled regions beside labeled ones.
        external: switch of the external regularizer.
        substitute: what takes its place: ``none``, or ``l1`` or ``l2`` norms of the weights.
        cc_filter: ``largest`` keeps each class's largest component of a pseudo-label, ``none`` all of it.
        ties: what a pixel is where background and a class are equally probable: ``background``, or that class,
            ``foreground``, as in the published code.
        bn_groups: ``official`` gives each half of a batch its own batch-norm statistics, ``joint`` one to both.
    """

    pretrain_steps: int = 1000
    alpha: float = 0.5
    external: bool = True
    substitute: str = "none"
    cc_filter: str = "largest"
    ties: str = "background"
    bn_groups: str = "official"

    def __post_init__(self) -> None:
        require_choice(
            substitute=(self.substitute, ("none", "l1", "l2")),
            cc_filter=(self.cc_filter, ("largest", "none")),
            ties=(self.ties, ("background", "foreground")),
            bn_groups=(self.bn_groups, ("official", "joint")),
        )


class IEREObjective(Objective):
    r"""Pretraining on mixtures of labeled images; then four terms on mixtures of labeled and unlabeled ones.

    .. math:: L = L_T + L_{bcp} + \lambda_1 L_{IR} + \lambda_2 L_{ER}, \qquad x_{in} = M x_l^a + (1 - M) x_u^a, \quad
              x_{out} = M x_u^b + (1 - M) x_l^b

    The teacher learns from labels (Jaccard) and labels :math:`x_u`; the student S learns from both mixtures:
    :math:`L_{bcp} = mix(S(x_{in}); y^a, q^a; M) + mix(S(x_{out}); q^b, y^b; M)`. :math:`L_{ER}` is the same with SAM's
    labels, prompted by the teacher's boxes, for q, on the same predictions. Both lambdas are in ``weights``, and so is
    the factor of the cross-entropy of :math:`S(x_u)` with q, ``unlabeled``, which is left out without one. In
    pretraining, both heads learn from mixtures of two labeled halves, :math:`J(T) + J(S)`.

    Args:
        network: the student.
        teacher: gives q.
        augment: of all images, here and not in the loader, so that SAM can see what they come from.
        box: the square 1 - M.
        ir: the internal regularizer.
        sam: a ``SamTeacher``, which gives SAM's labels; ``None``: no external regularizer.
        settings: everything else.
        weights: of the terms.

    Batch: images ``B, C, H, W``, labels ``B_l, 1, H, W``; as many unlabeled as labeled ones, an even number, or none:
    then pretraining never ends. Diagnostics: foreground share of the pseudo-labels, the internal regularizer plus the
    constant that makes it positive, Dice of SAM's labels with the teacher's and the share of images where SAM counts.

    Source: IERE (Pattern Recognition 179, 2026) and its published code.
    """

    TERMS = ("supervised", "bcp", "ir", "er", "unlabeled", "sam")

    def __init__(
        self,
        network: ResNetUNet,
        teacher: Teacher,
        augment: RandomResizedCrop2D,
        box: RandomBoxMask,
        ir: InternalRegularizer,
        sam: nn.Module | None = None,
        settings: IERESettings | None = None,
        weights: Mapping | None = None,
    ) -> None:
        super().__init__(weights)
        network.require_size(augment.size, "input_size")
        self.network, self.teacher, self.augment, self.box = network, teacher, augment, box
        self.ir, self.sam, self.settings = ir, sam, settings or IERESettings()
        if self.settings.external and self.settings.substitute == "none" and sam is None:
            logging.getLogger(type(self).__name__).info("no SAM (sam.kind: none): the external regularizer is off")

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        n, unlabeled = batch.labeled, unlabeled_of_halves(batch)
        drawn = self.augment.draw(batch)
        view = self.augment.apply(batch, drawn)
        labels, start = view.label.squeeze(1).long(), self.settings.pretrain_steps + 1
        if step == start:
            self.teacher.follow(self.network)
        if step < start or not unlabeled:
            terms = self.pretrain(view.image[:n], labels)
        else:
            terms = self.student(view.image, labels, batch, drawn["theta"].to(view.image))
        if self.sam is not None and self.sam.learns(step, start):
            terms["sam"] = self.sam.loss(batch.image[:n], batch.label.squeeze(1).long(), batch.index[:n])
        return terms

    def pretrain(self, image: Tensor, label: Tensor) -> dict[str, Tensor]:
        """J(T) + J(S) on one mixture of two labeled halves; only J(S) where the teacher is a copy."""
        (a, b), (y_a, y_b) = image.chunk(2), label.chunk(2)
        box = self.box(a)
        mixed, label = paste(box, b, a), paste(box, y_b, y_a)
        features = self.network.features(mixed)
        heads = [head for head in (self.network.head, self.teacher.head) if head is not None]
        return {"supervised": sum(jaccard_multiclass(self.network.classify(features, h, mixed), label) for h in heads)}

    def student(self, image: Tensor, label: Tensor, batch: Batch, theta: Tensor) -> dict[str, Tensor]:
        """The four terms; ``batch`` is what ``image`` was sampled from by ``theta``."""
        l_a, l_b, u_a, u_b = image.chunk(4)
        known = self.grouped(self.teacher.supervised_logits, l_a, l_b)
        with torch.no_grad():
            logits = torch.cat(self.grouped(self.teacher.logits, u_a, u_b))
            pseudo = self.pseudo_label(logits)
        (y_a, y_b), (q_a, q_b) = label.chunk(2), pseudo.chunk(2)
        box = self.box(l_a)
        p_in, p_out = self.grouped(ResNetUNet.logits, paste(box, u_a, l_a), paste(box, l_b, u_b))
        y_in, y_out = paste(box, q_a, y_a), paste(box, y_b, q_b)
        terms = {
            "supervised": sum(jaccard_multiclass(z, y) for z, y in zip(known, label.chunk(2))),
            "bcp": self.copy_paste(p_in, p_out, label, pseudo, box),
            "pseudo_foreground": (pseudo > 0).float().mean(),
        }
        if self.ir.enabled:
            terms["ir"] = self.ir(p_in, y_in) + self.ir(p_out, y_out)
            terms["ir_positive"] = terms["ir"] + sum((y > 0).float().mean() for y in (y_in, y_out))
        if self.settings.substitute != "none":
            terms["er"] = weight_norm(self.network, self.settings.substitute)
        elif self.settings.external and self.sam is not None:
            n, views = batch.labeled, Views(batch.image, image, theta, batch.index)
            self.sam.measure(views.part(slice(n)), torch.cat(known).detach(), label, self.pseudo_label)
            refined, trust = self.sam.labels(views.part(slice(n, None)), pseudo, logits)
            terms["er"] = self.copy_paste(p_in, p_out, label, refined, box, trust)
            terms["sam_dice"], terms["sam_used"] = agreement(refined, pseudo), trust.mean()
        if self.weights.get("unlabeled"):
            whole = torch.cat(self.grouped(ResNetUNet.logits, u_a, u_b))
            terms["unlabeled"] = F.cross_entropy(whole.float(), pseudo)
        return terms

    def pseudo_label(self, logits: Tensor) -> Tensor:
        """Label maps ``B, ...`` of the teacher's logits ``B, K, ...``."""
        label = logits.argmax(dim=1)
        if self.settings.ties == "foreground":
            p = logits.float().softmax(dim=1)
            best, number = p[:, 1:].max(dim=1)
            label = torch.where(best >= p[:, 0], number + 1, 0)
        return largest_per_class(label, self.network.classes) if self.settings.cc_filter == "largest" else label

    @torch.no_grad()
    def labels(self, image: Tensor) -> dict[str, Tensor]:
        """Label maps ``B, H, W`` of whole slices: the teacher's, SAM's for its boxes, and the student's."""
        logits = self.teacher.logits(self.network, image)
        found = {"teacher": self.pseudo_label(logits)}
        if self.sam is not None:
            found["SAM"] = self.sam.refined(*self.sam.refiner.embed(image), found["teacher"], logits).label
        return found | {"student": self.network(image).argmax(dim=1)}

    def copy_paste(
        self, p_in: Tensor, p_out: Tensor, label: Tensor, pseudo: Tensor, box: Tensor, trust: Tensor | None = None
    ) -> Tensor:
        """Mixed losses of both mixtures, pseudo-labels weighted by alpha, and by ``trust`` (``B``) if given."""
        (y_a, y_b), (q_a, q_b) = label.chunk(2), pseudo.chunk(2)
        alpha = self.settings.alpha * (torch.ones(len(pseudo), device=pseudo.device) if trust is None else trust)
        w_a, w_b = alpha.chunk(2)
        return mixed_loss(p_in, y_a, q_a, box, (1.0, w_a)) + mixed_loss(p_out, q_b, y_b, box, (w_b, 1.0))

    def grouped(self, logits_of, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of two halves, in one pass or in one each."""
        if self.settings.bn_groups == "joint":
            return logits_of(self.network, torch.cat([first, second])).chunk(2)
        return logits_of(self.network, first), logits_of(self.network, second)
