"""Soft Jaccard losses."""

from __future__ import annotations

from torch import Tensor

from .dice import one_hot


def jaccard_multiclass(logits: Tensor, labels: Tensor, eps: float = 1e-7) -> Tensor:
    r"""Soft Jaccard loss over all classes, background included, summed over batch and space at once.

    .. math:: \frac{1}{K} \sum_k [\textstyle\sum g_k > 0]
              \Big(1 - \frac{\sum p_k g_k}{\max(\sum p_k + \sum g_k - \sum p_k g_k, \epsilon)}\Big)

    A class that the batch lacks adds 0, while the divisor stays K.

    Args:
        logits: ``B, K, ...``.
        labels: class indices ``B, ...`` or ``B, 1, ...``.
        eps: smallest denominator.

    Source: IERE's published code, by ``JaccardLoss`` of segmentation_models_pytorch.
    """
    if labels.dim() == logits.dim():
        labels = labels.squeeze(1)
    p, g = logits.float().softmax(dim=1), one_hot(labels, logits.shape[1])
    dims = [0, *range(2, p.dim())]
    overlap, truth = (p * g).sum(dims), g.sum(dims)
    score = overlap / (p.sum(dims) + truth - overlap).clamp(min=eps)
    return ((1 - score) * (truth > 0)).mean()


def jaccard_binary(logits: Tensor, target: Tensor, eps: float = 1e-5) -> Tensor:
    r"""Soft Jaccard loss of each mask.

    .. math:: 1 - \frac{\sum p g + \epsilon}{\sum p + \sum g - \sum p g + \epsilon}, \qquad p = \sigma(z)

    Args:
        logits: ``N, ...``.
        target: the same shape, boolean or in [0, 1].
        eps: smoothing; two empty masks give 0.

    Returns:
        ``N``.

    Source: IERE (Pattern Recognition 179, 2026): the loss by which SAM is fine-tuned.
    """
    p, g = logits.float().sigmoid().flatten(1), target.float().flatten(1)
    overlap = (p * g).sum(dim=1)
    return 1 - (overlap + eps) / (p.sum(dim=1) + g.sum(dim=1) - overlap + eps)
