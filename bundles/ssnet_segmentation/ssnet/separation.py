"""Inter-class separation: voxel features are drawn to the prototypes of their class."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from common.errors import require_choice
from common.losses import weighted_prototype_distance

RANKS = ("top", "bottom")
ROWS = ("foreground", "all")
MEMORY_INPUTS = ("raw", "normalized")


def mlp(cin: int, hidden: int, cout: int, activation: nn.Module) -> nn.Sequential:
    """Linear, batch norm, activation, linear, on rows ``M, cin``."""
    return nn.Sequential(nn.Linear(cin, hidden), nn.BatchNorm1d(hidden), activation, nn.Linear(hidden, cout))


class _OnceMore:
    """Within its block, a pass that was made already leaves running statistics as they are, and keeps what it kept."""

    def __init__(self, module: nn.Module) -> None:
        self.layers = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm1d)]

    def __enter__(self) -> None:
        self.before = [(layer.momentum, layer.num_batches_tracked.clone()) for layer in self.layers]
        for layer in self.layers:
            layer.momentum = 0.0

    def __exit__(self, *error: object) -> None:
        for layer, (momentum, count) in zip(self.layers, self.before):
            layer.momentum = momentum
            layer.num_batches_tracked.copy_(count)


class PrototypeSeparation(nn.Module):
    r"""Class prototypes from well-segmented labeled voxels, and the attraction of all voxels to them.

    Candidates of class c are labeled voxels that the network assigns to c rightly. Their projections are ranked by a
    learned attention selector and the best K replace the class's prototypes; without a candidate the prototypes of the
    previous iteration stay. Every voxel feature, projected and predicted, is compared with the prototypes of its class:

    .. math:: L_{con} = \frac{1}{C} \sum_c \frac{1}{MK} \sum_{ij} w_i w'_j (1 - \cos(f_i, v_j))

    with attention weights w, w' of mean 1. The background has no prototypes, so its summand is 0 while C counts it.
    The prototypes and the inputs of the selectors carry no gradient.

    Args:
        enabled: switch of the term.
        classes: C, background included.
        feature_channels: channels of the decoder feature (16).
        dim: dimension of projections and prototypes (32).
        k: prototypes per class (32).
        rank: keep the ``top`` K scores (paper) or the ``bottom`` K (published code, which sorts ascending).
        memory_attention: weight prototypes by their own selector (paper); off, all weights are 1 and that selector
            is untrained (published code, where an axis of length 1 is normalized).
        memory_input: prototypes as that selector sees them: ``raw``, as stored, or ``normalized`` (published code).
        rows: rows that pass the heads: ``foreground`` only, which are all the loss uses, or ``all`` (published
            code; it changes the heads' batch statistics and costs 674 MiB per sample at full size).
        row_limit: random subset of that many rows per class and stream; 0 keeps all. The mean stays unbiased.

    Source: SS-Net (Wu et al., MICCAI 2022), section 2.3 and equation 4; selectors after Alonso et al., ICCV 2021.
    """

    def __init__(
        self,
        enabled: bool = True,
        classes: int = 2,
        feature_channels: int = 16,
        dim: int = 32,
        k: int = 32,
        rank: str = "top",
        memory_attention: bool = True,
        rows: str = "foreground",
        row_limit: int = 0,
        memory_input: str = "raw",
    ) -> None:
        super().__init__()
        require_choice(rank=(rank, RANKS), rows=(rows, ROWS), memory_input=(memory_input, MEMORY_INPUTS))
        self.enabled, self.classes, self.k = enabled, classes, k
        self.rank, self.memory_attention, self.rows, self.row_limit = rank, memory_attention, rows, row_limit
        self.memory_input = memory_input
        self.projector = mlp(feature_channels, dim, dim, nn.ReLU())
        self.predictor = mlp(dim, dim, dim, nn.ReLU())
        self.feature_selectors = nn.ModuleList(mlp(dim, dim, 1, nn.LeakyReLU(0.2)) for _ in range(classes))
        self.memory_selectors = nn.ModuleList(mlp(dim, dim, 1, nn.LeakyReLU(0.2)) for _ in range(classes))
        self.register_buffer("memory", torch.zeros(classes, k, dim))
        self.register_buffer("stored", torch.zeros(classes, dtype=torch.int64))

    def forward(self, features: Tensor, prediction: Tensor, label: Tensor) -> Tensor:
        """Scalar loss.

        Args:
            features: ``B, feature_channels, spatial``, labeled samples first.
            prediction: arg max of the network, ``B, spatial``.
            label: ``B_l, spatial``.
        """
        n = label.shape[0]
        with torch.autocast(features.device.type, enabled=False):
            rows = features.float().movedim(1, -1)
            self.update_memory(rows[:n].detach(), prediction[:n], label)
            loss = self._contrast_again(rows[:n], label)
            return loss + self._contrast_again(rows[n:], prediction[n:]) if len(rows) > n else loss

    def _contrast_again(self, features: Tensor, classes: Tensor) -> Tensor:
        """``contrast``, computed once more for the gradient instead of keeping what the heads did to every voxel."""
        return checkpoint(
            self.contrast,
            features,
            classes,
            use_reentrant=False,
            context_fn=lambda: (nullcontext(), _OnceMore(self)),
        )

    @torch.no_grad()
    def update_memory(self, features: Tensor, prediction: Tensor, label: Tensor) -> None:
        """Replace the prototypes of every foreground class that has candidates in ``features`` (``B, spatial, D``)."""
        was_training = self.projector.training
        self.projector.eval()
        for c in range(1, self.classes):
            candidates = features[(label == c) & (prediction == c)]
            if not len(candidates):
                continue
            projected = self.projector(candidates)
            if len(projected) > self.k:
                score = torch.sigmoid(self.feature_selectors[c](projected)).squeeze(1)
                projected = projected[score.topk(self.k, largest=self.rank == "top").indices]
            self.memory[c, : len(projected)] = projected
            self.stored[c] = len(projected)
        self.projector.train(was_training)

    def contrast(self, features: Tensor, classes: Tensor) -> Tensor:
        """Loss of rows ``B, spatial, D`` that belong to ``classes`` (``B, spatial``)."""
        zero = 0 * features.sum()
        kept = self.select(classes)
        ids = classes[kept]
        if len(ids) < 2:
            return zero
        predicted = self.predictor(self.projector(features[kept]))
        parts = [self._class_loss(predicted[ids == c], c) for c in range(1, self.classes)]
        return sum((part for part in parts if part is not None), zero) / self.classes

    def select(self, classes: Tensor) -> Tensor:
        """Mask of the rows that pass the heads, shaped like ``classes``."""
        kept = (classes >= (0 if self.rows == "all" else 1)).contiguous()
        for c in range(self.classes if self.row_limit else 0):
            surplus = ((classes == c) & kept).flatten().nonzero().squeeze(1)
            order = torch.randperm(len(surplus), device=surplus.device)
            kept.view(-1)[surplus[order[self.row_limit :]]] = False
        return kept

    def _class_loss(self, rows: Tensor, c: int) -> Tensor | None:
        stored = int(self.stored[c])
        if stored < 2 or len(rows) < 2:
            return None
        prototypes = self.memory[c, :stored].clone()
        weights = self.attention(self.feature_selectors[c], rows.detach())
        if self.memory_attention:
            scored = prototypes if self.memory_input == "raw" else F.normalize(prototypes, dim=1)
            memory_weights = self.attention(self.memory_selectors[c], scored)
        else:
            memory_weights = torch.ones_like(prototypes[:, 0])
        return weighted_prototype_distance(rows, prototypes, weights, memory_weights)

    @staticmethod
    def attention(selector: nn.Module, rows: Tensor) -> Tensor:
        """Attention weights ``M`` of rows ``M, D``: sigmoid scores scaled to mean 1."""
        score = torch.sigmoid(selector(rows)).squeeze(1)
        return score / score.mean()
