"""Attention of SAM's image encoder on torch's fused kernel."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FusedAttention(nn.Module):
    r"""Multi-head attention over a token grid with decomposed relative positions, as one fused call.

    .. math:: \mathrm{softmax}(s\,q k^T + q \cdot R^h + q \cdot R^w)\, v, \qquad s = d^{-1/2}

    It takes over the parameters of the package's ``Attention`` under their names and gives the same result, but of the
    matrices of every head it keeps only the positions' for the backward pass, not logits and probabilities too.

    Shapes: tokens ``B, H, W, D`` to ``B, H, W, D``.

    Args:
        attention: the package's module to replace.

    Source: Kirillov et al., Segment Anything, ICCV 2023; Li et al., MViTv2, CVPR 2022, equation 4.
    """

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.num_heads = attention.num_heads
        self.qkv, self.proj = attention.qkv, attention.proj
        self.rel_pos_h, self.rel_pos_w = attention.rel_pos_h, attention.rel_pos_w

    def forward(self, x: Tensor) -> Tensor:
        b, h, w, d = x.shape
        qkv = self.qkv(x).reshape(b, h * w, 3, self.num_heads, d // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        grid = q.reshape(b, self.num_heads, h, w, -1)
        rows = torch.einsum("bnhwc,hkc->bnhwk", grid, relative(self.rel_pos_h, h).to(q.dtype))
        columns = torch.einsum("bnhwc,wkc->bnhwk", grid, relative(self.rel_pos_w, w).to(q.dtype))
        bias = (rows[..., :, None] + columns[..., None, :]).reshape(b, self.num_heads, h * w, h * w)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        return self.proj(out.transpose(1, 2).reshape(b, h, w, d))


def relative(table: Tensor, size: int) -> Tensor:
    """Rows of a relative-position table ``2 * size - 1, C`` for every query and key: ``size, size, C``."""
    index = torch.arange(size, device=table.device)
    return table[index[:, None] - index[None, :] + size - 1]


def fuse_attention(encoder: nn.Module) -> nn.Module:
    """Put ``FusedAttention`` in place of the attention of every block of an image encoder, and return it."""
    for block in encoder.blocks:
        block.attn = FusedAttention(block.attn)
    return encoder
