"""Consistency on labeled voxels where exactly one network is confidently foreground."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from common.errors import require_choice
from common.losses import kl_divergence, masked_mean, one_hot


class ConsistencyCorrection(nn.Module):
    r"""Mean distance over the voxels of a mask of confident disagreement, summed over both networks.

    .. math:: M_c(i) = [\hat y_A = c \wedge \max p_A \ge \tau] \oplus [\hat y_B = c \wedge \max p_B \ge \tau], \quad
              L_{cr} = \frac{\sum_i M_c(i) d_i}{\sum_i M_c(i)}

    averaged over the foreground classes c (one in the paper). An empty mask gives 0.

    Args:
        enabled: switch of the term.
        tau: confidence.
        mask: ``xor`` (default: the paper's "if and only if one") or ``or`` (its wording).
        target: ``peer`` compares the two predictions (paper), ``label`` each of them with the label (published code).
        distance: ``mse`` of the class's probability, or ``kl`` over all classes (symmetrised between peers).

    Source: Lu et al., Knowledge-Based Systems 2025, equations 5 and 6; MCF (Wang et al., CVPR 2023).
    """

    MASKS = ("xor", "or")
    TARGETS = ("peer", "label")
    DISTANCES = ("mse", "kl")

    def __init__(
        self,
        enabled: bool = True,
        tau: float = 0.6,
        mask: str = "xor",
        target: str = "peer",
        distance: str = "mse",
    ) -> None:
        super().__init__()
        require_choice(mask=(mask, self.MASKS), target=(target, self.TARGETS), distance=(distance, self.DISTANCES))
        self.enabled, self.tau, self.mask, self.target, self.distance = enabled, tau, mask, target, distance

    def forward(self, logits: tuple[Tensor, Tensor], label: Tensor) -> Tensor:
        """Loss of both networks' labeled logits ``B, C, ...`` and the label map ``B, ...``."""
        p = [z.float().softmax(dim=1) for z in logits]
        losses = []
        for c in range(1, p[0].shape[1]):
            mask = self.disagreement(p, c)
            losses += [masked_mean(d, mask) for d in self.distances(logits, p, label, c)]
        return 2 * torch.stack(losses).mean()

    @torch.no_grad()
    def disagreement(self, p: list[Tensor], c: int) -> Tensor:
        """Boolean mask ``B, ...`` of class ``c`` from the two softmax maps."""
        a, b = (((q.argmax(dim=1) == c) & (q.amax(dim=1) >= self.tau)) for q in p)
        return a ^ b if self.mask == "xor" else a | b

    def distances(self, logits: tuple[Tensor, Tensor], p: list[Tensor], label: Tensor, c: int) -> list[Tensor]:
        """Distance maps ``B, ...`` of each network to its target."""
        if self.target == "peer":
            if self.distance == "mse":
                return [(p[0][:, c] - p[1][:, c]).square()]
            return [(kl_divergence(logits[0], logits[1]) + kl_divergence(logits[1], logits[0])) / 2]
        if self.distance == "mse":
            return [(q[:, c] - (label == c).float()).square() for q in p]
        truth = one_hot(label, p[0].shape[1]).clamp(min=1e-6).log()
        return [kl_divergence(truth, z) for z in logits]
