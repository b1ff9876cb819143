"""Synergy evaluation: which pseudo-labeled voxels two views of an image confirm."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from common.errors import require_choice
from common.losses import entropy


class SynergyRegions:
    r"""Partition of the voxels by the predictions on the image U and on its mixture M.

    Delta: uncertain, :math:`H > \tau` in both views; Omega: not Delta and both views agree; Theta: not Delta and they
    disagree. The masks carry no gradient.

    Args:
        tau_nats: entropy limit for two classes in nats; for C classes it grows with ln C / ln 2. The default is the
            entropy of the probabilities 0.425 and 0.575, between which a voxel is uncertain; the paper's 0.296 is the
            same in base-10 units, rounded.
        rule: ``intersection`` (paper: uncertain in both views), ``union`` (published code: in either) or ``u_only``.

    Source: SGRS-Net (MICCAI 2025), equations 3 to 7.
    """

    RULES = ("intersection", "union", "u_only")

    def __init__(self, tau_nats: float = 0.6818546087307834, rule: str = "intersection") -> None:
        require_choice(rule=(rule, self.RULES))
        self.tau_nats, self.rule = tau_nats, rule

    @torch.no_grad()
    def __call__(self, logits_u: Tensor, logits_m: Tensor) -> dict[str, Tensor]:
        """Boolean masks ``B, ...`` named omega, theta and delta, from logits ``B, C, ...``."""
        limit = self.tau_nats * math.log(logits_u.shape[1]) / math.log(2)
        u, m = entropy(logits_u) > limit, entropy(logits_m) > limit
        delta = u if self.rule == "u_only" else u & m if self.rule == "intersection" else u | m
        agree = logits_u.argmax(dim=1) == logits_m.argmax(dim=1)
        return {"omega": agree & ~delta, "theta": ~agree & ~delta, "delta": delta}
