"""Reductions over a region."""

from __future__ import annotations

from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    r"""Mean of ``values`` where ``mask`` is set, and an exact 0 that keeps its graph where the mask is empty.

    .. math:: \frac{\sum_i m_i x_i}{\max(\sum_i m_i, 1)}

    Args:
        values: any shape.
        mask: the same shape, boolean or in [0, 1].

    Raises:
        ValueError: when the shapes differ (broadcasting would mix samples silently).
    """
    if values.shape != mask.shape:
        raise ValueError(f"values and mask must have one shape, got {tuple(values.shape)} and {tuple(mask.shape)}")
    weight = mask.to(values.dtype)
    return (values * weight).sum() / weight.sum().clamp(min=1)


def arg_max(logits: Tensor) -> Tensor:
    """Class of the largest of ``B, K, ...``, the first of equal ones; of two classes by one comparison."""
    return (logits[:, 1] > logits[:, 0]).long() if logits.shape[1] == 2 else logits.argmax(dim=1)
