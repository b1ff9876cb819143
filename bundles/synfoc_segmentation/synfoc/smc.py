"""Self-mutual confidence: how far to trust the U-Net's pseudo-label against the foundation model's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import reduce
from operator import or_

import torch
from torch import Tensor

from common.errors import require_choice
from common.transforms import resize_nearest

MODES = ("smc", "self", "mutual", "constant", "linear", "cps")


def overlap(a: Tensor, b: Tensor, parts: Sequence[Collection[int]]) -> Tensor:
    r"""Smoothed Dice of two label maps ``B, ...`` per sample, averaged over parts; ``B``, in (0, 1].

    .. math:: D(A, B) = \frac{2 |A \cap B| + 1}{|A| + |B| + 1.001}, \qquad D(\emptyset, \emptyset) = 1

    Args:
        a: label map of integers.
        b: the same shape.
        parts: classes of each part; parts may be nested (optic cup {1} in the disc {1, 2}).
    """
    scores = []
    for members in parts:
        x, y = (reduce(or_, (labels.flatten(1) == m for m in members)) for labels in (a, b))
        size = x.sum(dim=1) + y.sum(dim=1)
        scores.append(torch.where(size > 0, (2 * (x & y).sum(dim=1) + 1) / (size + 1.001), 1.0))
    return torch.stack(scores).mean(dim=0)


class SelfMutualConfidence:
    r"""Weight of the U-Net teacher's probabilities in the pseudo-label of each image.

    .. math:: \alpha = \Phi_{self} \Phi_{mut}, \quad \Phi_{self} = D(Q^U_{student}, Q^U_{teacher}), \quad
              \Phi_{mut} = D(Q^U_{teacher}, Q^M_{teacher})

    Args:
        parts: classes of each part that D compares.
        mode: ``smc``; ``self`` or ``mutual``, one factor alone; ``constant``; ``linear``, t / T; ``cps``: no blend,
            each network learns from the other's teacher (rows of table 8).
        value: the constant.
        iterations: T of ``linear``.

    Source: SynFoC (CVPR 2025), equations 3 to 6; D with its smoothing from the published code.
    """

    def __init__(
        self, parts: Sequence[Collection[int]], mode: str = "smc", value: float = 0.5, iterations: int = 1
    ) -> None:
        require_choice(mode=(mode, MODES))
        self.parts, self.mode, self.value, self.iterations = parts, mode, value, iterations

    @property
    def needs_student(self) -> bool:
        """Whether the weight depends on the U-Net student's own prediction."""
        return self.mode in ("smc", "self")

    def __call__(
        self, student: Tensor | None, unet: Tensor, sam: Tensor, step: int, resize: Callable = resize_nearest
    ) -> Tensor:
        """Weights ``B`` in [0, 1], float32.

        Args:
            student: label map ``B, P, P`` of the U-Net student, if needed.
            unet: that of its teacher.
            sam: that of the foundation teacher, ``B, s, s``; the comparison takes place at this size.
            step: iteration, 1 for the first.
            resize: of a map ``B, 1, P, P`` to ``s, s``.
        """
        if self.mode in ("constant", "linear"):
            value = self.value if self.mode == "constant" else (step - 1) / self.iterations
            return torch.full((len(unet),), value, device=unet.device)
        alpha = torch.ones(len(unet), device=unet.device)
        if self.needs_student:
            alpha = alpha * overlap(student, unet, self.parts)
        if self.mode in ("smc", "mutual"):
            alpha = alpha * overlap(resize(unet[:, None], sam.shape[1:])[:, 0], sam, self.parts)
        return alpha
