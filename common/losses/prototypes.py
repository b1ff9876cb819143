"""Attraction of voxel features to class prototypes without the distance matrix."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def weighted_prototype_distance(
    features: Tensor, prototypes: Tensor, feature_weights: Tensor, prototype_weights: Tensor
) -> Tensor:
    r"""Weighted mean cosine distance between every feature and every prototype.

    .. math:: \frac{1}{MK} \sum_{ij} w_i w'_j (1 - u_i \cdot v_j)
              = \bar w \, \bar w' - \Big(\tfrac{1}{M} \sum_i w_i u_i\Big) \cdot \Big(\tfrac{1}{K} \sum_j w'_j v_j\Big)

    with u and v the L2-normalized rows. The right-hand side is exact and costs O(M + K); the published code builds
    the M x K matrix.

    Args:
        features: ``M, D``.
        prototypes: ``K, D``.
        feature_weights: ``M``, non-negative.
        prototype_weights: ``K``, non-negative.

    Returns:
        A scalar in [0, 2] when both weights have mean 1.

    Source: Alonso et al., ICCV 2021; SS-Net (Wu et al., MICCAI 2022), equation 4.
    """
    u = (feature_weights[:, None] * F.normalize(features, dim=1)).mean(dim=0)
    v = (prototype_weights[:, None] * F.normalize(prototypes, dim=1)).mean(dim=0)
    return feature_weights.mean() * prototype_weights.mean() - (u * v).sum()
