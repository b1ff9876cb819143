"""Low-rank adaptation of the attention of SAM's image encoder."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from ..errors import require_choice

TARGETS = ("q", "k", "v")


class LoraLinear(nn.Module):
    r"""A frozen fused q, k, v projection with trained low-rank additions to some of its thirds.

    .. math:: t \leftarrow W_t x + b_t + \frac{\alpha}{r} B_t A_t x,
              \qquad A_t \in R^{r \times D},\; B_t \in R^{D \times r}

    B starts at zero, so that the module starts as the projection it wraps.

    Args:
        base: the projection ``D`` to ``3 D``; it is frozen.
        rank: r.
        targets: thirds that are adapted.
        alpha: scale; ``None`` takes the rank, that is a factor of 1.

    Source: Hu et al., LoRA, ICLR 2022; on q and v as in Zhang and Liu, SAMed, 2023.
    """

    def __init__(
        self, base: nn.Linear, rank: int, targets: Sequence[str] = ("q", "v"), alpha: float | None = None
    ) -> None:
        super().__init__()
        if rank < 1:
            raise ValueError(f"rank must be at least 1, got {rank}")
        for target in targets:
            require_choice(targets=(target, TARGETS))
        self.base, self.targets = base.requires_grad_(False), tuple(t for t in TARGETS if t in targets)
        self.scale = (rank if alpha is None else alpha) / rank
        width = base.in_features
        self.lora_a = nn.ParameterDict({t: nn.Parameter(torch.empty(rank, width)) for t in self.targets})
        self.lora_b = nn.ParameterDict({t: nn.Parameter(torch.zeros(width, rank)) for t in self.targets})
        for weight in self.lora_a.values():
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """Projection ``..., 3 D`` of tokens ``..., D``."""
        out = self.base(x)
        return out + torch.cat([self._addition(x, target).to(out.dtype) for target in TARGETS], dim=-1)

    def _addition(self, x: Tensor, target: str) -> Tensor:
        if target not in self.targets:
            return torch.zeros_like(x)
        low = nn.functional.linear(x, self.lora_a[target])
        return self.scale * nn.functional.linear(low, self.lora_b[target])

    def merged(self) -> nn.Linear:
        """A plain projection with the additions in its weights."""
        width, plain = self.base.in_features, nn.Linear(self.base.in_features, self.base.out_features)
        plain = plain.to(self.base.weight.device, self.base.weight.dtype)
        with torch.no_grad():
            plain.weight.copy_(self.base.weight)
            plain.bias.copy_(self.base.bias)
            for target in self.targets:
                start = TARGETS.index(target) * width
                plain.weight[start : start + width] += self.scale * self.lora_b[target] @ self.lora_a[target]
        return plain


def inject_lora(
    sam: nn.Module,
    rank: int = 4,
    targets: Sequence[str] = ("q", "v"),
    blocks: Collection[int] | None = None,
    alpha: float | None = None,
) -> list[nn.Parameter]:
    """Adapt the attention of the image encoder in place (after its weights are loaded), and return what is trained.

    The whole encoder is frozen; the returned parameters are its only ones that learn.

    Args:
        sam: a ``Sam``.
        rank: see ``LoraLinear``.
        targets: see ``LoraLinear``.
        blocks: numbers of the adapted blocks; ``None`` for all.
        alpha: see ``LoraLinear``.
    """
    encoder = sam.image_encoder.requires_grad_(False)
    trained: list[nn.Parameter] = []
    for number, block in enumerate(encoder.blocks):
        if blocks is None or number in blocks:
            block.attn.qkv = LoraLinear(block.attn.qkv, rank, targets, alpha)
            trained += [p for p in block.attn.qkv.parameters() if p.requires_grad]
    return trained


def merge_lora(sam: nn.Module) -> nn.Module:
    """Replace, in place, every adapted projection by a plain one with the same output, and return ``sam``."""
    for block in sam.image_encoder.blocks:
        if isinstance(block.attn.qkv, LoraLinear):
            block.attn.qkv = block.attn.qkv.merged()
    return sam


def lora_state_dict(sam: nn.Module) -> dict[str, Tensor]:
    """The tensors of the adaptation alone."""
    return {name: value for name, value in sam.state_dict().items() if ".lora_a." in name or ".lora_b." in name}
