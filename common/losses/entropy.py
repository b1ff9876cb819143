"""Entropy and Kullback-Leibler divergence of softmax maps, from logits in float32."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def entropy(logits: Tensor) -> Tensor:
    r"""Shannon entropy per voxel in nats, :math:`H = -\sum_c p_c \log p_c`; ``B, C, ...`` to ``B, ...``.

    Range [0, ln C]. Never computed as ``log(softmax + eps)``.
    """
    log_p = F.log_softmax(logits.float(), dim=1)
    return -(log_p.exp() * log_p).sum(dim=1)


def kl_divergence(target_logits: Tensor, logits: Tensor) -> Tensor:
    r"""KL divergence per voxel, :math:`\sum_c q_c (\log q_c - \log p_c)`; ``B, C, ...`` twice to ``B, ...``.

    Args:
        target_logits: logits of the reference distribution q.
        logits: logits of the approximating distribution p.
    """
    log_q = F.log_softmax(target_logits.float(), dim=1)
    log_p = F.log_softmax(logits.float(), dim=1)
    return (log_q.exp() * (log_q - log_p)).sum(dim=1)
