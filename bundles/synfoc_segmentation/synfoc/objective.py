"""SynFoC: a U-Net and a foundation model that teach each other across domains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.engines import Objective
from common.errors import InputError
from common.networks import frozen_batchnorm_statistics
from common.transforms import Batch, paste, resize_image, resize_nearest

from .losses import ConsensusDivergence, masked_loss
from .settings import SynFoCSettings
from .smc import SelfMutualConfidence


class SynFoCObjective(Objective):
    r"""Supervised losses of both networks, losses on mixed images against a shared pseudo-label, and CDCR.

    .. math:: L = L_x^M + L_x^U + \lambda(t) (L_u^M + L_u^U + L_c + L_d), \qquad
              P^E = \alpha P^U + (1 - \alpha) P^M

    The teachers see the weak unlabeled images and their blend gives classes and a confidence mask. The students see
    the weak labeled images, and strong unlabeled ones into which a rectangle of a labeled image is pasted. Each
    network works at its own input and logit size on the same geometric sample.

    Args:
        students: ``unet`` and ``sam``, the conventional and the foundation network, or one of them (then its own
            teacher alone gives the pseudo-label).
        teachers: their moving averages.
        sizes: extents of each one's input; the blend has the U-Net's.
        smc: weight of the U-Net in the blend.
        cdcr: consensus and divergence terms.
        strong: intensity augmentation of unlabeled images.
        box: generator of the rectangles; ``None`` pastes nothing.
        weights: of the terms.
        settings: see ``SynFoCSettings``.

    Batch: images ``2 n, C, H, W`` in [0, 1], labels ``n, 1, H, W``. Diagnostics: mean alpha, agreement of the
    students and, for each of them, the shares of confident pixels and of foreground in its pseudo-label.

    Raises:
        InputError: when a batch has unlabeled images, but not as many as labeled ones.

    Source: SynFoC (CVPR 2025).
    """

    TERMS = ("supervised_sam", "supervised_unet", "pseudo_sam", "pseudo_unet", "consensus", "divergence")

    def __init__(
        self,
        students: nn.ModuleDict,
        teachers: nn.ModuleDict,
        sizes: Mapping[str, Sequence[int]],
        smc: SelfMutualConfidence,
        cdcr: ConsensusDivergence,
        strong: Callable[[Tensor], Tensor],
        box: Callable[[Tensor], Tensor] | None = None,
        weights: Mapping | None = None,
        settings: SynFoCSettings | None = None,
    ) -> None:
        super().__init__(weights)
        self.students, self.teachers, self.sizes = students, teachers, {k: tuple(v) for k, v in sizes.items()}
        self.smc, self.cdcr, self.strong, self.box = smc, cdcr, strong, box
        self.settings = settings = settings or SynFoCSettings()
        self.resize = partial(resize_nearest, rule=settings.resample_maps)

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        n = batch.labeled
        labeled, unlabeled = batch.image[:n], batch.image[n:]
        if not len(unlabeled):
            terms = {}
            for name, student in self.students.items():
                logits = student(self.view(self.seen(name, labeled), name))
                terms[f"supervised_{name}"] = self.supervised(logits, self.seen(name, batch.label))
            return terms
        if len(unlabeled) != n:
            raise InputError(
                f"labeled_batch={n} must equal unlabeled_batch={len(unlabeled)}: images are pasted in pairs"
            )
        blends, terms = self.teach(unlabeled, step)
        strong = self.strong(unlabeled)
        reference = strong.new_zeros(n, 1, *self.sizes["unet"])
        box = self.box(reference) if self.box else reference.bool()
        mixed = {}
        for name in self.students:
            label, area = self.seen(name, batch.label), self.seen(name, box)
            plain, mixed[name] = self.predict(name, self.seen(name, labeled), self.seen(name, strong), area)
            terms[f"supervised_{name}"] = self.supervised(plain, label)
            terms[f"pseudo_{name}"], more = self.pseudo(mixed[name], self.seen(name, blends[name]), label, area)
            terms |= {f"{key}_{name}": value for key, value in more.items()}
        if len(mixed) == 2:
            terms |= self.cdcr(mixed["sam"], mixed["unet"][: len(mixed["sam"])], self.resize)
        return terms

    def seen(self, name: str, samples: Tensor) -> Tensor:
        """Those of ``samples`` that a student learns from."""
        return samples[: self.settings.sam_batch] if name == "sam" else samples

    def view(self, image: Tensor, name: str) -> Tensor:
        """``image`` at the input size of a network."""
        return resize_image(image, self.sizes[name], self.settings.resample)

    def label_at(self, label: Tensor, logits: Tensor) -> Tensor:
        """``label`` at the size of ``logits``."""
        return resize_nearest(label, logits.shape[2:], self.settings.resample_labels)

    def supervised(self, logits: Tensor, label: Tensor) -> Tensor:
        """Loss of logits against labels of any size."""
        return masked_loss(logits, self.label_at(label, logits), eps=self.settings.dice_eps)

    @torch.no_grad()
    def teach(self, unlabeled: Tensor, step: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Probabilities ``B, K, P, P`` that each student learns from, and diagnostics."""
        p = {name: t(self.view(unlabeled, name)).float().softmax(dim=1) for name, t in self.teachers.items()}
        at_unet = {name: resize_linear(map_, self.sizes["unet"]) for name, map_ in p.items()}
        if len(p) == 1:
            return at_unet, {}
        if self.smc.mode == "cps":
            return {"unet": at_unet["sam"], "sam": at_unet["unet"]}, {}
        student = self.student_classes(unlabeled) if self.smc.needs_student else None
        alpha = self.smc(student, p["unet"].argmax(dim=1), p["sam"].argmax(dim=1), step, self.resize)
        blend = torch.lerp(at_unet["sam"], at_unet["unet"], alpha.view(-1, 1, 1, 1))
        return {"unet": blend, "sam": blend}, {"alpha": alpha.mean()}

    @torch.no_grad()
    def labels(self, image: Tensor) -> dict[str, Tensor]:
        """Label maps ``B, H, W`` of both teachers and both students, at the size of the images."""
        found = {}
        for role, networks in (("teacher", self.teachers), ("student", self.students)):
            for name, network in networks.items():
                p = network(self.view(image, name)).float().softmax(dim=1)
                found[f"{name} {role}"] = resize_linear(p, image.shape[2:]).argmax(dim=1)
        return found

    def student_classes(self, unlabeled: Tensor) -> Tensor:
        """Classes ``B, P, P`` that the U-Net student gives the weak images."""
        unet, image = self.students["unet"], self.view(unlabeled, "unet")
        if self.settings.update_statistics:
            return unet(image).argmax(dim=1)
        with frozen_batchnorm_statistics(unet):
            return unet(image).argmax(dim=1)

    def predict(self, name: str, labeled: Tensor, strong: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of a student on labeled images and on strong images with a piece of these."""
        inside, outside = self.view(labeled, name), self.view(strong, name)
        mixed = paste(self.resize(box, self.sizes[name]), inside, outside)
        student = self.students[name]
        if name in self.settings.joint_batch:
            return student(torch.cat([inside, mixed])).chunk(2)
        return student(inside), student(mixed)

    def pseudo(self, logits: Tensor, blend: Tensor, label: Tensor, box: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss on mixed images: pseudo-label outside the box, label inside."""
        size = logits.shape[2:]
        confidence, classes = resize_linear(blend, size).max(dim=1, keepdim=True)
        confident = confidence >= self.settings.tau if self.settings.tau_inclusive else confidence > self.settings.tau
        box = self.resize(box, size)
        target = paste(box, self.label_at(label, logits).long(), classes)
        loss = masked_loss(logits, target, confident | box, self.settings.mask_background, self.settings.dice_eps)
        return loss, {"confident": confident.float().mean(), "pseudo_foreground": (classes > 0).float().mean()}


def resize_linear(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear resampling of maps ``B, K, H, W``, as they are where the size fits."""
    same = tuple(maps.shape[2:]) == tuple(size)
    return maps if same else F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)
